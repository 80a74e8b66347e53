"""What is wrong with prompt files, told before they are served.

`command` is the command line, `linter` finds the files and has each checked, `prompt_checks` and
`tree_checks` do so, `findings` says what there is to be found, and `output` writes it down.
"""
