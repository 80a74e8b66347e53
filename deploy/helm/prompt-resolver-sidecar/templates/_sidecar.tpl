{{/*
The sidecar, as an item of `initContainers`. It takes a mapping: `image`, and if you like `cpu`,
`memory`, of which it may have twice as much as it asks for.

`restartPolicy: Always` makes it a sidecar: it runs before the app starts, and until the app has
ended. So it needs no preStop, which would begin when the app's end begins.
*/}}
{{- define "prompt-resolver-sidecar.container" -}}
- name: prompt-resolver
  image: {{ required "prompt-resolver-sidecar.container: expected image" .image }}
  restartPolicy: Always
  args: [serve, --config, /config/config.yaml]
  ports:
    - {name: metrics, containerPort: 9090}
  # By a command: Kubernetes' own gRPC probe calls the pod's IP, and the door that the app uses is
  # on the pod's loopback.
  startupProbe:
    # Whether it serves, and not whether it is ready: a prompt that cannot be had would else have
    # the container started anew for ever.
    exec: {command: [prompt-resolver, health, --service, prompt_resolver.v1.PromptResolver]}
    periodSeconds: 1
    timeoutSeconds: 5
    failureThreshold: 60
  readinessProbe:
    exec: {command: [prompt-resolver, health, --service, readiness]}
    periodSeconds: 10
    timeoutSeconds: 5
  livenessProbe:
    httpGet: {path: /healthz, port: metrics}
    periodSeconds: 10
    timeoutSeconds: 5
  resources:
    # What it takes in memory as a rule is asked for: a sidecar that asks for little is the first to
    # be killed. As much again is for the workers that render templates.
    {{- $memory := .memory | default "256Mi" }}
    requests: {cpu: {{ .cpu | default "100m" }}, memory: {{ $memory }}}
    limits: {memory: {{ mulf 2 (regexFind "^[0-9.]+" $memory) }}{{ regexFind "[A-Za-z]*$" $memory }}}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL]}
    seccompProfile: {type: RuntimeDefault}
  volumeMounts:
    # Whole volumes, never a subPath, which keeps what it had when the pod started.
    - {name: prompt-resolver-config, mountPath: /config, readOnly: true}
    - {name: prompt-resolver-prompts, mountPath: /prompts, readOnly: true}
    - {name: prompt-resolver-keys, mountPath: /keys, readOnly: true}
    - {name: prompt-resolver-state, mountPath: /state}
{{- end }}

{{/*
Its volumes, as items of `volumes`. It takes a mapping, all of which may be left out: the names
`config` and `prompts` of ConfigMaps and `keys` of a Secret, `items` of the prompts, `stateSize`.
*/}}
{{- define "prompt-resolver-sidecar.volumes" -}}
- name: prompt-resolver-config
  configMap: {name: {{ .config | default "prompt-resolver-config" }}}
- name: prompt-resolver-prompts
  configMap:
    name: {{ .prompts | default "prompt-resolver-prompts" }}
    {{- with .items }}
    # A prompt's id is its path without the ending. Without `items`, each key is a path.
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
- name: prompt-resolver-keys
  secret:
    secretName: {{ .keys | default "prompt-resolver-keys" }}
    # Without it, prompts are resolved and completions refused, until it is there.
    optional: true
# It outlives the container, and not the pod. The same size as cache.max_bytes, and as much again
# for what is being written.
- name: prompt-resolver-state
  emptyDir: {sizeLimit: {{ .stateSize | default "128Mi" }}}
{{- end }}
