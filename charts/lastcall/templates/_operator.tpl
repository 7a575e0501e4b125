{{/* The operator has two processes, each a component of its own: the controller ("operator") and the webhook. */}}

{{/* A component's objects: dict "root" $ "component" "webhook". */}}
{{- define "lastcall.component.name" -}}
{{- printf "%s-%s" (include "lastcall.fullname" .root) .component -}}
{{- end -}}

{{/* Labels that select a component's pods. They never change: a Deployment's selector cannot. */}}
{{- define "lastcall.component.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of a component's objects. */}}
{{- define "lastcall.component.labels" -}}
{{ include "lastcall.component.selectorLabels" . }}
{{ include "lastcall.labels" .root }}
{{- end -}}

{{/* A component's account: its own name, unless a name is given. */}}
{{- define "lastcall.component.serviceAccountName" -}}
{{- $account := .root.Values.operator.serviceAccount -}}
{{- if $account.create -}}
{{- include "lastcall.component.name" . -}}
{{- else -}}
{{- default "default" $account.name -}}
{{- end -}}
{{- end -}}

{{/* The operator's image, pinned by digest where one is given. */}}
{{- define "lastcall.operator.image" -}}
{{- $image := .Values.operator.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The namespaces that are looked after, as a JSON list; empty: all. The gateway's own is always among them. */}}
{{- define "lastcall.operator.namespaces" -}}
{{- $namespaces := .Values.operator.namespaces -}}
{{- if and $namespaces (include "lastcall.gateway.hasDrainPolicy" .) -}}
{{- $namespaces = append $namespaces .Release.Namespace | uniq -}}
{{- end -}}
{{- toJson $namespaces -}}
{{- end -}}

{{/* Whether the gateway's pods leave by a DrainPolicy: "true" or nothing. */}}
{{- define "lastcall.gateway.hasDrainPolicy" -}}
{{- if and .Values.gateway.enabled .Values.operator.enabled .Values.gateway.drainPolicy.enabled -}}true{{- end -}}
{{- end -}}

{{/* The Secret with the key that signs leased drains. The process that first needs it makes it; the chart never does. */}}
{{- define "lastcall.drainKeySecret" -}}
{{- printf "%s-drain-key" (include "lastcall.fullname" .) -}}
{{- end -}}

{{/* The Secret with the webhook's certificate: of the webhook process, or of cert-manager. */}}
{{- define "lastcall.webhook.tlsSecret" -}}
{{- printf "%s-webhook-tls" (include "lastcall.fullname" .) -}}
{{- end -}}

{{/* The names of the two webhook configurations. The processes know them by --fullname. */}}
{{- define "lastcall.webhook.injection" -}}
{{- printf "%s-injection" (include "lastcall.fullname" .) -}}
{{- end -}}
{{- define "lastcall.webhook.removals" -}}
{{- printf "%s-removals" (include "lastcall.fullname" .) -}}
{{- end -}}

{{/* The annotation with which cert-manager fills in the authority; nothing when the webhook process does. */}}
{{- define "lastcall.webhook.authorityAnnotation" -}}
{{- if .Values.certManager.enabled -}}
cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "lastcall.component.name" (dict "root" . "component" "webhook") }}
{{- end -}}
{{- end -}}

{{/* Where the API server finds the webhook, without the authority: whoever makes the certificate fills that in, and an
upgrade leaves it alone because it is not rendered. dict "root" $ "path" "/mutate/pods". */}}
{{- define "lastcall.webhook.clientConfig" -}}
service:
  name: {{ include "lastcall.component.name" (dict "root" .root "component" "webhook") }}
  namespace: {{ .root.Release.Namespace }}
  path: {{ .path }}
  port: 443
{{- end -}}

{{/* A namespace selector by names: never these, and only the ones that are looked after. dict "root" $ "never" (list …). */}}
{{- define "lastcall.webhook.namespaceSelector" -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: {{ toJson .never }}
  {{- with include "lastcall.operator.namespaces" .root | fromJsonArray }}
  - key: kubernetes.io/metadata.name
    operator: In
    values: {{ toJson . }}
  {{- end }}
{{- end -}}

{{/* Flags that both processes take. */}}
{{- define "lastcall.operator.flags" -}}
- --own-namespace={{ .Release.Namespace }}
- --fullname={{ include "lastcall.fullname" . }}
- --sidecar-image={{ include "lastcall.sidecar.image" . }}
- --sidecar-pull-policy={{ .Values.sidecar.image.pullPolicy }}
- --log-level={{ .Values.operator.logLevel }}
{{- range include "lastcall.operator.namespaces" . | fromJsonArray }}
- --namespace={{ . }}
{{- end }}
{{- range .Values.operator.allowedImages }}
- --allowed-images={{ . }}
{{- end }}
{{- with .Values.operator.otlpEndpoint }}
- --otlp-endpoint={{ . }}
{{- end }}
{{- end -}}

{{/* The parts of a pod's spec that both processes have from the values: dict "root" $ "component" "webhook". */}}
{{- define "lastcall.operator.podSettings" -}}
{{- $operator := .root.Values.operator -}}
serviceAccountName: {{ include "lastcall.component.serviceAccountName" . }}
automountServiceAccountToken: true
enableServiceLinks: false
securityContext:
  {{- include "lastcall.podSecurityContext" $operator.runAsUser | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $operator.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $operator.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $operator.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $operator.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The metadata of both processes' pods: dict "root" $ "component" "webhook". */}}
{{- define "lastcall.operator.podMetadata" -}}
labels:
  # Without the chart's version: a new chart alone restarts nothing.
  {{- include "lastcall.component.selectorLabels" . | nindent 2 }}
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .root.Values.operator.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  {{- include "lastcall.podAnnotations" (dict "annotations" .root.Values.operator.podAnnotations "volumes" (list "tmp")) | nindent 2 }}
{{- end -}}

{{/* Probes of both processes, on the admin port. Liveness is patient: an operator that is restarted helps nobody. */}}
{{- define "lastcall.operator.probes" -}}
startupProbe:
  httpGet:
    path: /livez
    port: admin
  initialDelaySeconds: 1
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 60
readinessProbe:
  httpGet:
    path: /readyz
    port: admin
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
livenessProbe:
  httpGet:
    path: /livez
    port: admin
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 6
{{- end -}}

{{/* What the schema cannot say. */}}
{{- define "lastcall.operator.validate" -}}
{{- $account := .Values.operator.serviceAccount -}}
{{- if and $account.create $account.name -}}
{{- fail "operator.serviceAccount: a name goes with create: false; the accounts that the chart makes have its own names." -}}
{{- end -}}
{{- if has "kube-system" .Values.operator.namespaces -}}
{{- fail "operator.namespaces: kube-system is never looked after." -}}
{{- end -}}
{{- end -}}

{{/*
The names of Helm's records (Secrets, or ConfigMaps) of this release, as a JSON array: of this revision, and of those that
a rollback to it may be: Helm keeps ten, and does not render hooks anew.
*/}}
{{- define "lastcall.uninstall.records" -}}
{{- $records := list -}}
{{- range untilStep (int .Release.Revision) (int (add .Release.Revision 21)) 1 -}}
{{- $records = append $records (printf "sh.helm.release.v1.%s.v%d" $.Release.Name .) -}}
{{- end -}}
{{- toJson $records -}}
{{- end }}
