"""Templates that take whatever they get."""

ENDLESS = (
    "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}"
    "{% endfor %}{% endfor %}{% endfor %}"
)
"""Takes time for ever."""

SWELLING = (
    "{% set n = namespace(s='xxxxxxxxxx') %}"
    "{% for a in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}"
)
"""Takes memory without end."""

MANY = (
    "{{#each xs}}{{#each ../xs}}{{#each ../../xs}}{{#each ../../../xs}}"
    "{{/each}}{{/each}}{{/each}}{{/each}}"
)
"""The same in Handlebars, with some hundred `xs`."""
