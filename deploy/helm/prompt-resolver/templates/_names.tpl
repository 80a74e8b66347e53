{{- define "prompt-resolver.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "prompt-resolver.selector" -}}
app.kubernetes.io/name: prompt-resolver
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "prompt-resolver.metadata" -}}
name: {{ include "prompt-resolver.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "prompt-resolver.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .Release.Service }}
  helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "prompt-resolver.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "prompt-resolver.name" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{- define "prompt-resolver.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}
