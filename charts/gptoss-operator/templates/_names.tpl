{{/* The prefix of every object's name: gptoss-operator, or RELEASE-gptoss-operator where the release is called otherwise. */}}
{{- define "gptoss-operator.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "gptoss-operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "gptoss-operator.podLabels" -}}
{{ include "gptoss-operator.selector" . }}
app.kubernetes.io/component: manager
app.kubernetes.io/part-of: gptoss
{{- end -}}

{{- define "gptoss-operator.labels" -}}
{{ include "gptoss-operator.podLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* An image reference of a dict: values (repository, tag, digest) and default (the tag). */}}
{{- define "gptoss-operator.image" -}}
{{- if .values.digest -}}
{{ .values.repository }}@{{ .values.digest }}
{{- else -}}
{{ .values.repository }}:{{ .values.tag | default .default }}
{{- end -}}
{{- end -}}

{{- define "gptoss-operator.subjects" -}}
subjects:
- kind: ServiceAccount
  name: {{ include "gptoss-operator.fullname" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
