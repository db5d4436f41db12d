"""Text-to-speech engines, a module each: `trainer.data.speech.registry` lists this package and reads the constant
`ENGINE` of each module.
"""
