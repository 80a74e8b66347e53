"""Provider dispatch: whose model is meant, and one attempt after another to have it answer."""
