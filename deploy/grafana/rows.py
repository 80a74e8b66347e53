"""The rows of the dashboard, in the order in which they are asked when something is wrong.

How calls go, what of their time is our own, how the stores do, how the providers do, what that
costs, and how the process is.
"""

from .panels import Panel, Query, Row, now, quantiles, rate, ratio, rose, select, since

_CALLS = Row(
    "Calls",
    (
        Panel(
            "Calls in a second",
            "Calls that ended, by method of the gRPC door and by route of the HTTP door.",
            "reqps",
            (
                Query(rate("grpc_server_handled_total", "grpc_method"), "{{grpc_method}}"),
                Query(rate("prompt_resolver_http_requests_total", "route"), "{{route}}"),
            ),
        ),
        Panel(
            "Calls that failed, gRPC",
            "The part of all calls that ended with each code.",
            "percentunit",
            (
                Query(
                    ratio("grpc_server_handled_total", 'grpc_code!="OK"', "grpc_code"),
                    "{{grpc_code}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Requests that failed, HTTP",
            "The part of all requests that ended with each status; 499 is a caller that left.",
            "percentunit",
            (
                Query(
                    ratio("prompt_resolver_http_requests_total", 'status=~"[45].."', "status"),
                    "{{status}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Time of calls, gRPC",
            "From the beginning of a call to its end; a stream lasts as long as it is read.",
            "s",
            quantiles(
                "grpc_server_handling_seconds",
                "grpc_method",
                "{{grpc_method}}",
                'grpc_method!="WatchPrompts"',
            ),
        ),
        Panel(
            "Time of requests, HTTP",
            "From the beginning of a request to the end of its answer.",
            "s",
            quantiles("prompt_resolver_http_request_duration_seconds", "route", "{{route}}"),
        ),
        Panel(
            "Calls that run, and that were refused",
            "Calls that run by class, calls that were refused as too many ran, and faults of ours.",
            "short",
            (
                Query(
                    now("prompt_resolver_calls_inflight", "sum", "call_class"),
                    "{{call_class}} running",
                ),
                Query(
                    rose("prompt_resolver_calls_shed_total", "call_class"),
                    "{{call_class}} refused",
                ),
                Query(rose("prompt_resolver_internal_errors_total", "pod"), "{{pod}} faults"),
            ),
        ),
    ),
)

_OVERHEAD = Row(
    "Overhead",
    (
        Panel(
            "Time of our own",
            "What an answered completion took beside its attempts and the pauses between them.",
            "s",
            quantiles("prompt_resolver_overhead_seconds", "method", "{{method}}", of=(0.5, 0.99)),
        ),
        Panel(
            "Time of completions",
            "All of the time that completions took.",
            "s",
            quantiles(
                "grpc_server_handling_seconds",
                "grpc_method",
                "{{grpc_method}}",
                'grpc_method=~"Complete|CompleteStream"',
                of=(0.5, 0.99),
            ),
        ),
        Panel(
            "Time of providers",
            "What of it was a provider's, for answers that were whole.",
            "s",
            quantiles(
                "prompt_resolver_upstream_request_duration_seconds",
                "",
                "providers",
                'outcome="ok"',
                of=(0.5, 0.99),
            ),
        ),
        Panel(
            "Time of rendering",
            "What rendering a template took.",
            "s",
            quantiles("prompt_resolver_render_duration_seconds", "", "rendering"),
        ),
    ),
)

_TEMPLATES = Row(
    "Templates",
    (
        Panel(
            "Prompts served",
            "By how the cache took part: `miss` and `bypass` waited for their store.",
            "reqps",
            (Query(rate("prompt_resolver_template_cache_requests_total", "result"), "{{result}}"),),
            stacked=True,
        ),
        Panel(
            "Prompts served stale",
            "Prompts that were served past their time to live, as their store failed.",
            "reqps",
            (Query(rate("prompt_resolver_template_stale_served_total", "store"), "{{store}}"),),
        ),
        Panel(
            "Time since a store's last success",
            "Of the instance for which it is longest ago. A store is asked only for what is asked"
            " of us.",
            "s",
            (
                Query(
                    since("prompt_resolver_template_last_success_timestamp_seconds", "store"),
                    "{{store}}",
                ),
            ),
        ),
        Panel(
            "Time of fetches",
            "What stores took for a template.",
            "s",
            quantiles(
                "prompt_resolver_template_fetch_duration_seconds",
                "store",
                "{{store}}",
                of=(0.5, 0.95),
            ),
        ),
        Panel(
            "Fetches",
            "What stores were asked for, by what came of it.",
            "reqps",
            (
                Query(
                    rate("prompt_resolver_template_fetch_duration_seconds_count", "store, outcome"),
                    "{{store}} {{outcome}}",
                ),
            ),
        ),
        Panel(
            "Shared cache",
            "What the cache that replicas share was asked, by how that went.",
            "reqps",
            (
                Query(
                    rate("prompt_resolver_shared_cache_requests_total", "operation, outcome"),
                    "{{operation}} {{outcome}}",
                ),
            ),
        ),
        Panel(
            "Prompts held",
            "Of the instance that holds the most.",
            "short",
            (
                Query(now("prompt_resolver_template_cache_entries", "max", "pod"), "{{pod}}"),
                Query(
                    rose("prompt_resolver_template_cache_evictions_total", "pod"),
                    "{{pod}} gave way",
                ),
            ),
        ),
        Panel(
            "Memory of prompts held",
            "About how much memory they take.",
            "bytes",
            (Query(now("prompt_resolver_template_cache_bytes", "max", "pod"), "{{pod}}"),),
        ),
        Panel(
            "Copies on disk",
            "Copies of templates on disk, by what came of reading or writing them.",
            "short",
            (Query(rose("prompt_resolver_state_entries_total", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "Prompts to prefetch that are missing",
            "Prompts that were to be fetched at the start, and have not been there yet. An instance"
            " that starts is not ready without those that are required.",
            "short",
            (
                Query(
                    now("prompt_resolver_prefetch_missing_entries", "max", "pod, required"),
                    "{{pod}} required: {{required}}",
                ),
            ),
        ),
    ),
)

_UPSTREAM = Row(
    "Providers",
    (
        Panel(
            "Requests",
            "Requests to providers that ended, by model.",
            "reqps",
            (
                Query(
                    rate(
                        "prompt_resolver_upstream_attempts_total",
                        "provider, model",
                        'outcome!="passed_over"',
                    ),
                    "{{provider}} {{model}}",
                ),
            ),
        ),
        Panel(
            "Requests that failed",
            "By why, but for those that callers left, and with those that would have failed.",
            "reqps",
            (
                Query(
                    rate(
                        "prompt_resolver_upstream_attempts_total",
                        "provider, reason",
                        'outcome!="ok", reason!~"caller|shutdown"',
                    ),
                    "{{provider}} {{reason}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Requests that run",
            "Requests that a provider is answering.",
            "short",
            (Query(now("prompt_resolver_upstream_inflight", "sum", "provider"), "{{provider}}"),),
        ),
        Panel(
            "Time of answers",
            "From sending a request to the end of its answer, for answers that were whole.",
            "s",
            quantiles(
                "prompt_resolver_upstream_request_duration_seconds",
                "provider, model",
                "{{provider}} {{model}}",
                'outcome="ok"',
            ),
        ),
        Panel(
            "Time to the first chunk",
            "From sending a request to the first event of its stream.",
            "s",
            quantiles(
                "prompt_resolver_upstream_time_to_first_chunk_seconds",
                "provider, model",
                "{{provider}} {{model}}",
            ),
        ),
        Panel(
            "Breakers",
            "The worst of a provider's breakers: 0 closed, 1 half-open, 2 open.",
            "short",
            (
                Query(
                    now("prompt_resolver_upstream_breaker_state", "max", "provider"),
                    "{{provider}}",
                ),
            ),
        ),
        Panel(
            "Retries",
            "Requests that were tried again, and retries that were left out.",
            "short",
            (
                Query(
                    rose("prompt_resolver_upstream_retries_total", "provider, reason"),
                    "{{provider}} {{reason}}",
                ),
                Query(
                    rose("prompt_resolver_upstream_retry_budget_exhausted_total", "provider"),
                    "{{provider}} left out",
                ),
            ),
        ),
        Panel(
            "Fallbacks",
            "Calls that went on from one alias to another.",
            "short",
            (
                Query(
                    rose("prompt_resolver_upstream_fallbacks_total", "from, to, reason"),
                    "{{from}} to {{to}} {{reason}}",
                ),
            ),
        ),
        Panel(
            "Answers that were cut off",
            "Answers that ended before they were complete.",
            "short",
            (
                Query(
                    rose("prompt_resolver_upstream_stream_truncated_total", "provider"),
                    "{{provider}}",
                ),
            ),
        ),
    ),
)

_COST = Row(
    "Tokens and cost",
    (
        Panel(
            "Tokens in a second",
            "As providers count them. What was read from a cache or written to it is part of the"
            " input, and reasoning of the output.",
            "short",
            (
                Query(
                    rate("prompt_resolver_tokens_total", "provider, model, direction"),
                    "{{provider}} {{model}} {{direction}}",
                ),
            ),
        ),
        Panel(
            "Cost in an hour",
            "At the rate of now, as far as prices are known.",
            "currencyUSD",
            (
                Query(
                    f"3600 * {rate('prompt_resolver_cost_usd_total', 'provider, model')}",
                    "{{provider}} {{model}}",
                ),
            ),
            stacked=True,
        ),
    ),
)

_PROCESS = Row(
    "Process",
    (
        Panel(
            "Event loop's lag",
            "By how much what is due comes late: all calls wait for this.",
            "s",
            quantiles("prompt_resolver_event_loop_lag_seconds", "pod", "{{pod}}", of=(0.5, 0.99)),
        ),
        Panel(
            "Memory",
            "Resident memory.",
            "bytes",
            (Query(now("process_resident_memory_bytes", "max", "pod"), "{{pod}}"),),
        ),
        Panel(
            "Processor",
            "Seconds of a processor in each second.",
            "short",
            (Query(rate("process_cpu_seconds_total", "pod"), "{{pod}}"),),
        ),
        Panel(
            "File descriptors",
            "Which part of those that it may open is open.",
            "percentunit",
            (
                Query(
                    f"max by (pod) ({select('process_open_fds')} / {select('process_max_fds')})",
                    "{{pod}}",
                ),
            ),
        ),
        Panel(
            "Versions",
            "How many instances run which version.",
            "short",
            (Query(f"count by (version) ({select('prompt_resolver_build_info')})", "{{version}}"),),
            kind="stat",
        ),
        Panel(
            "Series without room",
            "What was counted as `other`, as its family has all the series that it may have.",
            "short",
            (Query(rose("prompt_resolver_series_overflows_total", "family"), "{{family}}"),),
        ),
        Panel(
            "Configuration in use since",
            "How long ago the configuration that is in use was read.",
            "s",
            (
                Query(
                    since("prompt_resolver_config_last_reload_success_timestamp_seconds", "pod"),
                    "{{pod}}",
                ),
            ),
            kind="stat",
        ),
        Panel(
            "Configurations read anew",
            "By what came of it.",
            "short",
            (Query(rose("prompt_resolver_config_reloads_total", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "Certificates are good for",
            "The one that ends first.",
            "s",
            (
                Query(
                    "min by (file) ("
                    f"{select('prompt_resolver_certificate_expiry_timestamp_seconds')}"
                    " - time())",
                    "{{file}}",
                ),
            ),
            kind="stat",
        ),
        Panel(
            "Certificates read anew",
            "By what came of it.",
            "short",
            (Query(rose("prompt_resolver_certificate_reloads_total", "outcome"), "{{outcome}}"),),
        ),
    ),
)

ROWS = (_CALLS, _OVERHEAD, _TEMPLATES, _UPSTREAM, _COST, _PROCESS)
