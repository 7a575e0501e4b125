{{/* The beginning of every object's name, at most 63 characters with a component's suffix. */}}
{{- define "lastcall.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "lastcall.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/part-of: lastcall
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The sidecar's image, pinned by digest where one is given. */}}
{{- define "lastcall.sidecar.image" -}}
{{- $image := .Values.sidecar.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What the restricted Pod Security standard asks of a container, and a root file system that nobody can write. */}}
{{- define "lastcall.containerSecurityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end -}}

{{/*
What the restricted Pod Security standard asks of a pod. Without a user it runs as the image's own (65532), or as the one
that the cluster gives it: OpenShift refuses any that it has not given.
*/}}
{{- define "lastcall.podSecurityContext" -}}
runAsNonRoot: true
{{- with . }}
runAsUser: {{ int64 . }}
runAsGroup: {{ int64 . }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/*
A pod's annotations, and with them the volumes that may go with the pod: cluster-autoscaler leaves a node alone whose pods
have others. dict "annotations" {…} "volumes" (list …).
*/}}
{{- define "lastcall.podAnnotations" -}}
{{- $name := "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes" -}}
{{- $theirs := get .annotations $name | default "" -}}
{{- $ours := join "," .volumes -}}
{{- toYaml (merge (dict $name (ternary (printf "%s,%s" $theirs $ours) $ours (ne $theirs ""))) .annotations) -}}
{{- end -}}
