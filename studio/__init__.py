"""A local web page for what the commands do: phrases, recordings, trainings, results and boards."""
