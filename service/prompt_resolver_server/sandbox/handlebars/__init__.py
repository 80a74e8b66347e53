"""Handlebars, as Google's dotprompt has it."""
