{{- define "scim-bridge.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "scim-bridge.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "scim-bridge.labels" -}}
{{ include "scim-bridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{/* A new setting starts new pods. A new secret does not: restart them (docs/deploy-kubernetes.md). */}}
{{- define "scim-bridge.annotations" -}}
checksum/config: {{ .Values.config | sha256sum }}
{{- end }}

{{/* What all pods have: no privileges, settings, and secrets as files. */}}
{{- define "scim-bridge.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
# Longer than the 15 seconds in which it finishes running requests and deliveries.
terminationGracePeriodSeconds: 40
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {medium: Memory, sizeLimit: 64Mi}
  - name: config
    configMap: {name: {{ include "scim-bridge.name" . }}}
  - name: secrets
    secret: {secretName: {{ .Values.secret.name }}, defaultMode: 0440}
{{- end }}

{{- define "scim-bridge.container" -}}
image: "{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  privileged: false
  capabilities: {drop: [ALL]}
env:
  - name: SCIM_BRIDGE_CONFIG
    value: /etc/scim-bridge/scim-bridge.toml
  - name: SCIM_BRIDGE_SERVER__BASE_URL
    value: {{ printf "https://%s" .Values.host | quote }}
  {{- with .Values.trustedProxies }}
  - name: SCIM_BRIDGE_SERVER__TRUSTED_PROXIES
    value: {{ toJson . | quote }}
  {{- end }}
  {{- range $setting, $key := .Values.secret.files }}
  - name: SCIM_BRIDGE_{{ $setting }}_FILE
    value: /run/secrets/scim-bridge/{{ $key }}
  {{- end }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: config, mountPath: /etc/scim-bridge, readOnly: true}
  - {name: secrets, mountPath: /run/secrets/scim-bridge, readOnly: true}
{{- end }}
