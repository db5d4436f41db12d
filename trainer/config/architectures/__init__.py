"""The architectures that `model.architecture` names, a module each with the constant `ARCHITECTURE`."""
