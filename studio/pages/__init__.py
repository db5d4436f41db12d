"""The pages: a module each, with the constant `PAGE` (`studio.page.Page`)."""
