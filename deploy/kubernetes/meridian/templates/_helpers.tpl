{{/* The name of everything; short, for the names of nodes and probers have at most 63 characters. */}}
{{- define "meridian.name" -}}
{{- $name := default "meridian" .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- $full | trunc 28 | trimSuffix "-" -}}
{{- end }}

{{- define "meridian.selector" -}}
app.kubernetes.io/name: meridian
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "meridian.labels" -}}
app.kubernetes.io/name: meridian
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "meridian.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}

{{/* What no values can say in one place: checked before anything is rendered. */}}
{{- define "meridian.check" -}}
{{- $sources := 0 -}}
{{- if .Values.zones.git.repo }}{{ $sources = add1 $sources }}{{ end -}}
{{- if .Values.zones.volume }}{{ $sources = add1 $sources }}{{ end -}}
{{- if .Values.zones.files }}{{ $sources = add1 $sources }}{{ end -}}
{{- if ne (int $sources) 1 }}{{ fail "zones: give exactly one of zones.git.repo, zones.volume and zones.files" }}{{ end -}}
{{- if and .Values.zones.git.repo (ne .Values.zones.git.auth "none") (not .Values.zones.git.secret) }}{{ fail "zones.git.auth: name the Secret in zones.git.secret" }}{{ end -}}
{{- if and .Values.geo.enabled (not .Values.geo.secret) }}{{ fail "geo: name the Secret with account-id and license-key in geo.secret" }}{{ end -}}
{{- if and .Values.redis.urlSecret.name (not .Values.cluster) }}{{ fail "cluster: name this cluster, so that its nodes and probers differ in Redis from those of others" }}{{ end -}}
{{- if and .Values.probers.enabled .Values.nodes.enabled (not .Values.redis.urlSecret.name) }}{{ fail "probers: without redis.urlSecret nodes do not hear them; set probers.enabled to false, and nodes probe themselves" }}{{ end -}}
{{- if and .Values.announce.enabled (not .Values.nodes.hostNetwork) }}{{ fail "announce: routes of the machine are changed, so nodes.hostNetwork must be true" }}{{ end -}}
{{- if and .Values.announce.enabled (not .Values.announce.addresses) }}{{ fail "announce: name the anycast addresses in announce.addresses" }}{{ end -}}
{{- end }}

{{- define "meridian.zonesPath" -}}
{{- if .Values.zones.git.repo -}}
{{- printf "/zones/current/%s" .Values.zones.git.path | trimSuffix "/" -}}
{{- else -}}
/zones
{{- end -}}
{{- end }}

{{/* meridian.yaml of nodes. */}}
{{- define "meridian.nodeSettings" -}}
{{- $base := dict
  "listen" (default (list (printf "0.0.0.0:%d" (int .Values.nodes.dnsPort))) .Values.nodes.listen)
  "zones" (include "meridian.zonesPath" .)
  "state" "/var/lib/meridian"
  "http" (dict "listen" (printf "0.0.0.0:%d" (int .Values.nodes.httpPort)))
  "probe" (dict "enabled" (not .Values.probers.enabled) "region" (include "meridian.region" .))
  "log" (dict "format" "json")
-}}
{{- if .Values.announce.enabled -}}
{{- $_ := set $base "announce" (dict "form" "route" "addresses" .Values.announce.addresses "table" (int .Values.announce.table) "others" (int .Values.announce.others) "wait" (printf "%ds" (int .Values.announce.waitSeconds))) -}}
{{- /* the process that announces runs as root of its container, in this group */ -}}
{{- $_ := set $base "control" (dict "group" "65532") -}}
{{- end -}}
{{- toYaml (mustMergeOverwrite $base (include "meridian.geoSettings" . | fromYaml) (deepCopy .Values.settings) (deepCopy .Values.nodes.settings)) -}}
{{- end }}

{{/* meridian.yaml of probers. */}}
{{- define "meridian.proberSettings" -}}
{{- $base := dict
  "zones" (include "meridian.zonesPath" .)
  "state" "/var/lib/meridian"
  "http" (dict "listen" (printf "0.0.0.0:%d" (int .Values.probers.httpPort)))
  "probe" (dict "region" (include "meridian.region" .))
  "log" (dict "format" "json")
-}}
{{- toYaml (mustMergeOverwrite $base (deepCopy .Values.settings) (deepCopy .Values.probers.settings)) -}}
{{- end }}

{{- define "meridian.region" -}}
{{ default (default "local" .Values.cluster) .Values.probers.region }}
{{- end }}

{{- define "meridian.geoSettings" -}}
{{- if .Values.geo.enabled -}}
{{- $city := list -}}
{{- $asn := list -}}
{{- range .Values.geo.editions -}}
{{- if contains "ASN" . }}{{ $asn = append $asn (printf "/geo/%s.mmdb" .) }}{{ else }}{{ $city = append $city (printf "/geo/%s.mmdb" .) }}{{ end -}}
{{- end -}}
{{- $geo := dict -}}
{{- if $city }}{{ $_ := set $geo "city" $city }}{{ end -}}
{{- if $asn }}{{ $_ := set $geo "asn" $asn }}{{ end -}}
{{- toYaml (dict "geo" $geo) -}}
{{- else -}}
{}
{{- end -}}
{{- end }}

{{- define "meridian.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Of a pod with a network of its own: what a process that is not root needs, to which a capability would not come. */}}
{{- define "meridian.sysctls" -}}
sysctls:
  # checks of type icmp
  - {name: net.ipv4.ping_group_range, value: "65532 65532"}
  {{- if and .port (lt (int .port) 1024) }}
  - {name: net.ipv4.ip_unprivileged_port_start, value: {{ .port | quote }}}
  {{- end }}
{{- end }}

{{- define "meridian.containerSecurity" -}}
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Environment of every Meridian container. `.nameFrom`: the field of the pod that it is named after. */}}
{{- define "meridian.env" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: {{ .nameFrom }}}}
- name: MERIDIAN_NODE_NAME
  value: {{ ternary "$(POD_NAME)" (printf "%s-$(POD_NAME)" .root.Values.cluster) (empty .root.Values.cluster) | quote }}
# the image has its own; these are those of meridian.yaml
- name: MERIDIAN_ZONES
  value: {{ include "meridian.zonesPath" .root }}
- name: MERIDIAN_STATE
  value: /var/lib/meridian
{{- with .root.Values.redis.signingSecret }}
{{- if .name }}
- name: MERIDIAN_REDIS_SECRET
  valueFrom: {secretKeyRef: {name: {{ .name }}, key: {{ .key }}}}
{{- end }}
{{- end }}
{{- end }}

{{/* `.secret`: a name and a key. */}}
{{- define "meridian.redisEnv" -}}
{{- with .secret }}
{{- if .name }}
- name: MERIDIAN_REDIS
  valueFrom: {secretKeyRef: {name: {{ .name }}, key: {{ .key }}}}
{{- end }}
{{- end }}
{{- end }}

{{- define "meridian.mounts" -}}
- {name: settings, mountPath: /etc/meridian/meridian.yaml, subPath: meridian.yaml, readOnly: true}
- {name: state, mountPath: /var/lib/meridian}
- {name: tmp, mountPath: /tmp}
- {name: zones, mountPath: /zones, readOnly: true}
{{- range .Values.secrets }}
- {name: {{ printf "secret-%s" . | trunc 63 | trimSuffix "-" }}, mountPath: {{ printf "/etc/meridian/secrets/%s" . }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "meridian.geoMount" -}}
{{- if .Values.geo.enabled }}
- {name: geo, mountPath: /geo, readOnly: true}
{{- end }}
{{- end }}

{{/* Volumes of a pod. `.component`: node or prober; `.state`: a volume source. */}}
{{- define "meridian.volumes" -}}
- name: settings
  configMap: {name: {{ include "meridian.name" .root }}-{{ .component }}}
- name: state
  {{- toYaml .state | nindent 2 }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
- name: zones
{{- if .root.Values.zones.git.repo }}
  emptyDir: {sizeLimit: 1Gi}
- name: git-tmp
  emptyDir: {sizeLimit: 64Mi}
{{- if .root.Values.zones.git.secret }}
- name: git-secret
  secret: {secretName: {{ .root.Values.zones.git.secret }}, defaultMode: 0440}
{{- end }}
{{- else if .root.Values.zones.volume }}
  {{- toYaml .root.Values.zones.volume | nindent 2 }}
{{- else }}
  configMap: {name: {{ include "meridian.name" .root }}-zones}
{{- end }}
{{- range .root.Values.secrets }}
- name: {{ printf "secret-%s" . | trunc 63 | trimSuffix "-" }}
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{/* git-sync. `.once`: as an init container. */}}
{{- define "meridian.gitSync" -}}
{{- $git := .root.Values.zones.git -}}
- name: {{ ternary "git-clone" "git-sync" .once }}
  image: {{ $git.image.repository }}:{{ $git.image.tag }}
  args:
    - --repo={{ $git.repo }}
    - --ref={{ $git.ref }}
    - --root=/zones
    - --link=current
    {{- if .once }}
    - --one-time
    {{- else }}
    - --period={{ $git.period }}
    # while git is away nodes serve what they have
    - --max-failures=-1
    {{- end }}
    {{- if eq $git.auth "ssh" }}
    - --ssh-key-file=/etc/git-secret/ssh
    - --ssh-known-hosts-file=/etc/git-secret/known_hosts
    {{- else if eq $git.auth "password" }}
    - --password-file=/etc/git-secret/password
    {{- end }}
  {{- if eq $git.auth "password" }}
  env:
    - name: GITSYNC_USERNAME
      valueFrom: {secretKeyRef: {name: {{ $git.secret }}, key: username}}
  {{- end }}
  resources: {{- toYaml $git.resources | nindent 4 }}
  securityContext:
    # the user of git-sync's image, whom ssh knows
    runAsUser: 65533
    {{- include "meridian.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: zones, mountPath: /zones}
    - {name: git-tmp, mountPath: /tmp}
    {{- if $git.secret }}
    - {name: git-secret, mountPath: /etc/git-secret, readOnly: true}
    {{- end }}
{{- end }}

{{/* geoipupdate. `.once`: as an init container. */}}
{{- define "meridian.geoUpdate" -}}
{{- $geo := .root.Values.geo -}}
- name: {{ ternary "geo-fetch" "geo-update" .once }}
  image: {{ $geo.image.repository }}:{{ $geo.image.tag }}
  env:
    - {name: GEOIPUPDATE_EDITION_IDS, value: {{ join " " $geo.editions | quote }}}
    - {name: GEOIPUPDATE_FREQUENCY, value: {{ ternary 0 $geo.hours .once | quote }}}
    - {name: GEOIPUPDATE_DB_DIR, value: /geo}
    - {name: GEOIPUPDATE_ACCOUNT_ID_FILE, value: /etc/geo-secret/account-id}
    - {name: GEOIPUPDATE_LICENSE_KEY_FILE, value: /etc/geo-secret/license-key}
  resources: {{- toYaml $geo.resources | nindent 4 }}
  securityContext:
    {{- include "meridian.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: geo, mountPath: /geo}
    - {name: geo-tmp, mountPath: /tmp}
    - {name: geo-secret, mountPath: /etc/geo-secret, readOnly: true}
{{- end }}

{{- define "meridian.geoVolumes" -}}
{{- if .Values.geo.enabled }}
- name: geo
  emptyDir: {sizeLimit: 2Gi}
- name: geo-tmp
  emptyDir: {sizeLimit: 512Mi}
- name: geo-secret
  secret: {secretName: {{ .Values.geo.secret }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{/* Probes. They ask whether the process lives and is ready: the health of sites and of Redis is in none of them. `.settings`: meridian.yaml. */}}
{{- define "meridian.probes" -}}
{{- $scheme := ternary "HTTPS" "HTTP" (hasKey (default dict .settings.http) "certificate") -}}
# reading large zones and compiling databases may take minutes
startupProbe:
  httpGet: {path: /live, port: http, scheme: {{ $scheme }}}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 300
livenessProbe:
  httpGet: {path: /live, port: http, scheme: {{ $scheme }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /ready, port: http, scheme: {{ $scheme }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}

{{/* Where pods may run. `.values`: of nodes or probers. */}}
{{- define "meridian.placement" -}}
{{- if and .values.topologySpread (ne (default "" .values.kind) "DaemonSet") }}
topologySpreadConstraints:
  {{- range $key, $when := dict "kubernetes.io/hostname" "ScheduleAnyway" "topology.kubernetes.io/zone" "ScheduleAnyway" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $when }}
    labelSelector:
      matchLabels: {{- include "meridian.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Annotations of a pod: it is replaced when its settings change, which are read at its start. */}}
{{- define "meridian.annotations" -}}
checksum/settings: {{ .settings | sha256sum }}
{{- with .values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}
