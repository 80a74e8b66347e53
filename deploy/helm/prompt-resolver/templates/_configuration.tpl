{{/* The configuration with the settings that are the chart's. */}}
{{- define "prompt-resolver.configuration" -}}
{{- $admitted := or .Values.config.callers .Values.tls.verifyClients (dig "server" "insecure" false .Values.config) (dig "general_settings" "master_key" "" .Values.config) -}}
{{- range .Values.env -}}
{{- /* The service takes it for general_settings.master_key. */ -}}
{{- $admitted = or $admitted (eq .name "LITELLM_MASTER_KEY") -}}
{{- end -}}
{{- if not $admitted -}}
{{- fail "config: expected callers, general_settings.master_key, the variable LITELLM_MASTER_KEY in env, or server.insecure: true, as the whole cluster reaches the doors" -}}
{{- end -}}
{{- range $name, $caller := .Values.config.callers -}}
{{- if and (get $caller "certificate") (not $.Values.tls.verifyClients) -}}
{{- fail (printf "config.callers.%s.certificate: expected tls.secretName and tls.verifyClients: true, as nobody asks for it otherwise" $name) -}}
{{- end -}}
{{- end -}}
{{- $server := dict
  "grpc_address" "0.0.0.0:50051"
  "http_address" (ternary "0.0.0.0:4000" "" .Values.http.enabled)
  "admin_address" "0.0.0.0:9090"
  "state_dir" "/state"
  "drain_s" .Values.drainSeconds
  "max_connection_age_s" .Values.maxConnectionAgeSeconds
-}}
{{- if .Values.tls.secretName -}}
{{- $_ := set $server "tls_cert_file" "/tls/tls.crt" -}}
{{- $_ := set $server "tls_key_file" "/tls/tls.key" -}}
{{- if .Values.tls.verifyClients -}}
{{- $_ := set $server "tls_client_ca_file" "/tls/ca.crt" -}}
{{- end -}}
{{- end -}}
{{- mergeOverwrite (deepCopy .Values.config) (dict "server" $server) | toYaml -}}
{{- end }}

{{/* The prompts as a ConfigMap holds them. A key has no slashes. */}}
{{- define "prompt-resolver.prompts" -}}
{{- $keys := dict -}}
{{- range $path, $text := .Values.prompts -}}
{{- $key := $path | replace "/" "." -}}
{{- if hasKey $keys $key -}}
{{- fail (printf "prompts: expected paths that differ in more than a slash and a dot, got two for %s" $key) -}}
{{- end -}}
{{- $_ := set $keys $key $text -}}
{{- end -}}
{{- toYaml $keys -}}
{{- end }}
