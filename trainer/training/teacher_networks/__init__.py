"""The networks that `training.teacher` names, a module each with the constant `TEACHER`."""
