{{/* The name of the gateway's objects. */}}
{{- define "lastcall.gateway.name" -}}
{{- printf "%s-gateway" (include "lastcall.fullname" .) -}}
{{- end -}}

{{/* Labels that select the gateway's pods. They never change: a Deployment's selector cannot. */}}
{{- define "lastcall.gateway.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end -}}

{{/* Labels of the gateway's objects. */}}
{{- define "lastcall.gateway.labels" -}}
{{ include "lastcall.gateway.selectorLabels" . }}
{{ include "lastcall.labels" . }}
{{- end -}}

{{- define "lastcall.gateway.serviceAccountName" -}}
{{- default (ternary (include "lastcall.gateway.name" .) "default" .Values.gateway.serviceAccount.create) .Values.gateway.serviceAccount.name -}}
{{- end -}}

{{/*
How long the kubelet lets a leaving pod live: the ceiling of its drain, the quiet time after its last request and 30 s
in which to say goodbye to what is left and exit. The clock starts at deletion and includes preStop. Never under a
minute: a new pod's image may be slow to answer its hook.
*/}}
{{- define "lastcall.gateway.terminationGracePeriodSeconds" -}}
{{- $drain := .Values.gateway.config.drain -}}
{{- max 60 (add (int $drain.ceilingSeconds) (int $drain.settleSeconds) 30) -}}
{{- end -}}

{{/* A Secret's name: the existing one, else the one that the chart makes of a value, else nothing. */}}
{{- define "lastcall.gateway.upstreamSecret" -}}
{{- $key := .Values.gateway.upstreamApiKey -}}
{{- if $key.existingSecret -}}{{ $key.existingSecret }}
{{- else if $key.value -}}{{ include "lastcall.gateway.name" . }}-upstream{{ end -}}
{{- end -}}
{{- define "lastcall.gateway.clientsSecret" -}}
{{- $key := .Values.gateway.clientApiKeys -}}
{{- if $key.existingSecret -}}{{ $key.existingSecret }}
{{- else if $key.value -}}{{ include "lastcall.gateway.name" . }}-clients{{ end -}}
{{- end -}}

{{/*
The names by which clients call: the Service's, those of the Ingress and the route, and what the values add. Nothing where
the outside has a name that the chart cannot know and no value tells: any name will do then, unless a browser sends it.
*/}}
{{- define "lastcall.gateway.allowedHosts" -}}
{{- $gateway := .Values.gateway -}}
{{- $name := include "lastcall.gateway.name" . -}}
{{- $told := $gateway.config.listen.allowedHosts -}}
{{- if $gateway.ingress.enabled -}}{{- $told = concat $told $gateway.ingress.hosts -}}{{- end -}}
{{- if $gateway.httpRoute.enabled -}}{{- $told = concat $told $gateway.httpRoute.hostnames -}}{{- end -}}
{{- $unnamedRoute := and $gateway.httpRoute.enabled (not $gateway.httpRoute.hostnames) -}}
{{- if or $told (and (eq $gateway.service.type "ClusterIP") (not $unnamedRoute)) -}}
{{- $namespaced := printf "%s.%s" $name .Release.Namespace -}}
{{- $service := printf "%s.svc" $namespaced -}}
{{- toJson (concat (list $name $namespaced $service (printf "%s.%s" $service .Values.clusterDomain)) $told | uniq) -}}
{{- else -}}
[]
{{- end -}}
{{- end -}}

{{/* The part of the configuration that a running sidecar cannot take over. */}}
{{- define "lastcall.gateway.fixedConfig" -}}
{{- $ports := .Values.gateway.ports -}}
{{- $listen := set (deepCopy .Values.gateway.config.listen) "allowedHosts" (include "lastcall.gateway.allowedHosts" . | fromJsonArray) -}}
mode: Gateway
listen:
  {{- toYaml $listen | nindent 2 }}
  traffic: {{ printf "[::]:%d" (int $ports.traffic) | quote }}
  admin: {{ printf "[::]:%d" (int $ports.admin) | quote }}
admin:
  controlSocket: /run/lastcall/control.sock
{{- end -}}

{{/* The sidecar's configuration file: the values and what the chart adds. It never holds a secret, only files' names. */}}
{{- define "lastcall.gateway.config" -}}
{{- $config := deepCopy .Values.gateway.config -}}
{{- $_ := set $config "generation" .Release.Revision -}}
{{- if not $config.upstream.url -}}
{{- $_ := unset $config.upstream "url" -}}
{{- end -}}
{{- if include "lastcall.gateway.upstreamSecret" . -}}
{{- $_ := set $config.upstream "apiKeyFile" "/etc/lastcall/upstream/api-key" -}}
{{- end -}}
{{- range $key := .Values.gateway.upstreamsApiKeys -}}
{{- range $upstream := $config.upstreams -}}
{{- if eq $upstream.name $key.name -}}
{{- $_ := set $upstream "apiKeyFile" (printf "/etc/lastcall/upstream-%s/api-key" $key.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if include "lastcall.gateway.clientsSecret" . -}}
{{- $_ := set $config "auth" (dict "apiKeysFile" "/etc/lastcall/clients/api-keys") -}}
{{- end -}}
{{- toYaml (merge (include "lastcall.gateway.fixedConfig" . | fromYaml) $config) -}}
{{- end -}}

{{/* What the schema cannot say: combinations of values that contradict each other. */}}
{{- define "lastcall.gateway.validate" -}}
{{- $gateway := .Values.gateway -}}
{{- range $name := list "upstreamApiKey" "clientApiKeys" -}}
{{- $key := get $gateway $name -}}
{{- if and $key.existingSecret $key.value -}}
{{- fail (printf "gateway.%s: give either existingSecret or value, not both." $name) -}}
{{- end -}}
{{- end -}}
{{- $upstream := $gateway.config.upstream -}}
{{- $names := list -}}
{{- range $gateway.config.upstreams -}}
{{- if has .name $names -}}
{{- fail (printf "gateway.config.upstreams: two have the name %s." .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- range .models -}}
{{- if contains "*" (trimSuffix "*" .) -}}
{{- fail (printf "gateway.config.upstreams: %s: * may only stand at the end, for the beginning of names." .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $model := $upstream.models -}}
{{- if contains "*" (trimSuffix "*" $name) -}}
{{- fail (printf "gateway.config.upstream.models: %s: * may only stand at the end, for the beginning of names." $name) -}}
{{- end -}}
{{- if contains "*" $model -}}
{{- fail (printf "gateway.config.upstream.models: %s: what is meant must be one model's name, without *." $name) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $upstream.provider "Any") (or $names $upstream.models) -}}
{{- fail "gateway.config: neither upstreams nor upstream.models with upstream.provider Any: a pure relay knows no models." -}}
{{- end -}}
{{- if and (eq $upstream.provider "Any") (not $upstream.url) -}}
{{- fail "gateway.config.upstream.url: required with provider Any." -}}
{{- end -}}
{{- if gt (int64 $gateway.config.limits.maxBodyBytes) (int64 $gateway.config.limits.maxBufferedBytes) -}}
{{- fail "gateway.config.limits: maxBodyBytes must not be above maxBufferedBytes: one body must fit." -}}
{{- end -}}
{{- $keys := list -}}
{{- range $gateway.upstreamsApiKeys -}}
{{- if not (has .name $names) -}}
{{- fail (printf "gateway.upstreamsApiKeys: none of gateway.config.upstreams has the name %s." .name) -}}
{{- end -}}
{{- if has .name $keys -}}
{{- fail (printf "gateway.upstreamsApiKeys: two are for %s." .name) -}}
{{- end -}}
{{- $keys = append $keys .name -}}
{{- end -}}
{{- if eq (int $gateway.ports.traffic) (int $gateway.ports.admin) -}}
{{- fail "gateway.ports: traffic and admin need two different ports." -}}
{{- end -}}
{{- range $gateway.extraEnv -}}
{{- if regexMatch "^LASTCALL_(MODE|LISTEN|ADMIN__CONTROL|POD|DRAIN)_" .name -}}
{{- fail (printf "gateway.extraEnv: %s would contradict what the chart makes of gateway.ports and gateway.config: set it there." .name) -}}
{{- end -}}
{{- end -}}
{{- if and $gateway.autoscaling.enabled (gt (int $gateway.autoscaling.minReplicas) (int $gateway.autoscaling.maxReplicas)) -}}
{{- fail "gateway.autoscaling: minReplicas must not be above maxReplicas." -}}
{{- end -}}
{{- if and $gateway.ingress.enabled (not $gateway.ingress.hosts) -}}
{{- fail "gateway.ingress: name at least one host in hosts." -}}
{{- end -}}
{{- if and $gateway.httpRoute.enabled (not $gateway.httpRoute.parentRefs) -}}
{{- fail "gateway.httpRoute: name at least one Gateway in parentRefs." -}}
{{- end -}}
{{- if and $gateway.service.nodePort (eq $gateway.service.type "ClusterIP") -}}
{{- fail "gateway.service.nodePort needs gateway.service.type NodePort or LoadBalancer." -}}
{{- end -}}
{{- end -}}

{{/* How the gateway may lose pods. */}}
{{- define "lastcall.gateway.drainPolicySpec" -}}
{{- $policy := .Values.gateway.drainPolicy -}}
targetRef:
  apiVersion: apps/v1
  kind: Deployment
  name: {{ include "lastcall.gateway.name" . }}
order: {{ $policy.order }}
{{- if not (kindIs "invalid" $policy.maxDraining) }}
maxDraining: {{ $policy.maxDraining }}
{{- end }}
holdDeadlineSeconds: {{ $policy.holdDeadlineSeconds }}
evictions: {{ $policy.evictions }}
pollSeconds: {{ $policy.pollSeconds }}
{{- end -}}
