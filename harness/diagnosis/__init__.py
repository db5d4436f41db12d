"""Why a board does not wake: what it is asked, what it hears, and a verdict in plain words."""
