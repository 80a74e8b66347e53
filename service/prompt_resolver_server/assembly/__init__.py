"""Turns the configuration into what serves it.

`configuration` reads it, `stores` and `providers` build what their names say, `endpoints` tells
where a provider is and whose key it is given, `model_list` makes aliases of LiteLLM's blocks, and
`engine` puts it all together. `report` tells what would be built.
"""
