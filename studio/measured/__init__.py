"""Results of a workspace: found, put together by model, decided anew at any cutoff, handed out."""
