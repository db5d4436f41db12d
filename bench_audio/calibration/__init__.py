"""From a loudspeaker and a microphone to sound of known level and response, and a file that says so."""
