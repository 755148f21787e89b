/**
 * The chart in deploy/kubernetes, rendered by helm itself: every object is valid for Kubernetes, what runs is confined, and
 * what the chart writes for Meridian are settings and zones that Meridian takes.
 */
import { chmodSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { load as parse, YAML11_SCHEMA } from 'js-yaml'
import { beforeAll, expect, test } from 'vitest'
import { loadSettings, type Role } from '../../src/node/settings.ts'
import { loadFolder } from '../../src/load/load.ts'
import { good } from '../support/certificates.ts'
import { emptyFolder, writeZones } from '../support/folder.ts'
import { CHART, faultsOf, helm, installHelm, type Manifest, manifestsOf, type Mapping } from '../support/helm.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const EXAMPLES = readdirSync(join(CHART, 'examples')).map((file) => file.replace('.yaml', ''))
const home = emptyFolder()

interface Volume {
  readonly name: string
  readonly secret?: { readonly defaultMode: number }
  readonly configMap?: { readonly name: string }
}
interface Container extends Mapping {
  readonly name: string
  readonly args: readonly string[]
  readonly env: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: Mapping }[]
  readonly ports?: readonly { readonly name: string; readonly containerPort: number; readonly protocol: string }[]
  readonly securityContext: Mapping
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[]
  readonly startupProbe?: Mapping
  readonly livenessProbe?: Mapping
  readonly readinessProbe?: Mapping
  readonly lifecycle?: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } }
}
interface Pod extends Mapping {
  readonly initContainers?: readonly Container[]
  readonly containers: readonly Container[]
  readonly volumes: readonly Volume[]
  readonly securityContext: Mapping & { readonly sysctls?: readonly { readonly name: string }[] }
  readonly terminationGracePeriodSeconds: number
}
interface Strategy {
  readonly rollingUpdate?: Mapping
}
interface Workload {
  readonly kind: string
  readonly name: string
  readonly selector: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly spec: { readonly strategy?: Strategy; readonly updateStrategy?: Strategy }
  readonly pod: Pod
}

/** Values for what no example has. */
const GIT = 'zones.git.repo=https://git.example.com/zones.git'
const ALONE = ['--set', GIT, '--set', 'probers.enabled=false']
const VARIATIONS: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(EXAMPLES.map((name) => [name, ['-f', join(CHART, `examples/${name}.yaml`)]])),
  'a DaemonSet with a Service': [...ALONE, '--set', 'nodes.kind=DaemonSet,nodes.state.hostPath.path=/var/lib/meridian'],
  'port 53 in the pod’s network': [...ALONE, '--set', 'nodes.dnsPort=53,nodes.service.type=ClusterIP'],
  'a Deployment on the machines’ network': [...ALONE, '--set', 'nodes.hostNetwork=true,nodes.drainSeconds=0'],
  'everything at once': [
    '-f',
    join(CHART, 'examples/fleet.yaml'),
    '--set-json',
    JSON.stringify({
      nameOverride: 'a-name-of-twenty-eight-chars',
      image: { repository: 'registry.example.com/meridian', tag: 'v9', pullSecrets: [{ name: 'registry' }] },
      secrets: ['meridian-tokens', 'dns-tls'],
      settings: {
        node: { site: 'fra' },
        http: {
          tokens: '/etc/meridian/secrets/meridian-tokens/tokens',
          certificate: '/etc/meridian/secrets/dns-tls/tls.crt',
          key: '/etc/meridian/secrets/dns-tls/tls.key',
        },
      },
      nodes: {
        kind: 'DaemonSet',
        settings: {
          tls: {
            listen: ['0.0.0.0:8853'],
            certificate: '/etc/meridian/secrets/dns-tls/tls.crt',
            key: '/etc/meridian/secrets/dns-tls/tls.key',
          },
          limits: { answers: 500 },
        },
        extraPorts: [{ name: 'dot', port: 853, containerPort: 8853 }],
        service: {
          split: true,
          annotations: { 'example.com/pool': 'dns' },
          loadBalancerClass: 'example.com/lb',
          loadBalancerSourceRanges: ['192.0.2.0/24'],
        },
        nodeSelector: { disk: 'ssd' },
        tolerations: [{ key: 'dns', operator: 'Exists' }],
        affinity: { nodeAffinity: {} },
        podAnnotations: { 'example.com/a': 'b' },
        priorityClassName: 'high',
      },
      probers: { replicas: 3, podAnnotations: { 'example.com/a': 'b' }, maxUnavailable: '50%' },
      networkPolicy: {
        nodeEgress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8' } }], ports: [{ port: 6379 }] }],
        proberEgress: [{ to: [{ ipBlock: { cidr: '0.0.0.0/0' } }] }],
      },
      monitoring: {
        serviceMonitor: { labels: { release: 'prometheus' } },
        rules: { labels: { release: 'prometheus' } },
      },
    }),
  ],
  'everything that can be off': [
    '-f',
    join(CHART, 'examples/trial.yaml'),
    '--set',
    'networkPolicy.enabled=false,nodes.service.enabled=false,nodes.topologySpread=false,nodes.drainSeconds=0',
  ],
}

const template = (args: readonly string[]) => helm(['template', 'm', CHART, '--namespace', 'dns', ...args], home)
const rendered = new Map<string, readonly Manifest[]>()

beforeAll(() => {
  installHelm()
  for (const [name, args] of Object.entries(VARIATIONS)) {
    const { status, said } = template(args)
    if (status !== 0) throw new Error(`${name}: ${said}`)
    rendered.set(name, manifestsOf(said))
  }
})

const kind = (manifests: readonly Manifest[], ...kinds: readonly string[]): readonly ReturnType<typeof JSON.parse>[] =>
  manifests.filter((one) => kinds.includes(one.kind))

const workloadsOf = (manifests: readonly Manifest[]): readonly Workload[] =>
  kind(manifests, 'Deployment', 'DaemonSet', 'StatefulSet').map((one) => ({
    kind: one.kind,
    name: one.metadata.name,
    selector: one.spec.selector.matchLabels,
    labels: one.spec.template.metadata.labels,
    spec: one.spec,
    pod: one.spec.template.spec,
  }))

const containersOf = ({ pod }: Workload): readonly Container[] => [...(pod.initContainers ?? []), ...pod.containers]
const selects = (selector: object, labels: Readonly<Record<string, string>>): boolean =>
  Object.entries(selector).every(([key, value]) => labels[key] === value)

test.each(EXAMPLES)('helm lint finds nothing in examples/%s.yaml', (name) => {
  const { status, said } = helm(['lint', '--strict', CHART, '-f', join(CHART, `examples/${name}.yaml`)], home)
  expect(said).not.toMatch(/\[(?:WARNING|ERROR)\]/)
  expect(status).toBe(0)
})

test.each(Object.keys(VARIATIONS))('all objects are valid: %s', async (name) => {
  const manifests = rendered.get(name)!
  for (const one of manifests) {
    expect({ [`${one.kind} ${one.metadata.name}`]: await faultsOf(one) }).toEqual({
      [`${one.kind} ${one.metadata.name}`]: [],
    })
    expect(one.metadata.name).toMatch(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
    for (const label of Object.values(one.metadata.labels!)) expect(label).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/)
  }
  const names = manifests.map((one) => `${one.kind} ${one.metadata.name}`)
  expect(names).toHaveLength(new Set(names).size)
})

const text = (from: string, to: string) =>
  manifestsOf(template(VARIATIONS['trial']!).said.replace(from, to)).find((one) => one.kind === 'Deployment')!

test('what validates sees an unknown key, a value of another type, and an unknown word', async () => {
  expect(await faultsOf(text('minReadySeconds: 10', 'minReadySecond: 10'))).toEqual([
    '/spec/minReadySecond: unknown key',
  ])
  expect(await faultsOf(text('readOnlyRootFilesystem: true', 'readonlyRootFilesystem: true'))).toEqual([
    '/spec/template/spec/containers/0/securityContext/readonlyRootFilesystem: unknown key',
  ])
  expect(await faultsOf(text('replicas: 3', 'replicas: three'))).not.toEqual([])
  expect(await faultsOf(text('imagePullPolicy: IfNotPresent', 'imagePullPolicy: Sometimes'))).not.toEqual([])
})

test.each(Object.keys(VARIATIONS))('what names something else names what is there: %s', (name) => {
  const manifests = rendered.get(name)!
  const workloads = workloadsOf(manifests)
  const maps = kind(manifests, 'ConfigMap').map((one) => one.metadata.name)
  const accounts = kind(manifests, 'ServiceAccount').map((one) => one.metadata.name)
  for (const workload of workloads) {
    const { pod, selector, labels } = workload
    expect(selects(selector, labels)).toBe(true)
    expect(accounts).toContain(pod['serviceAccountName'])
    const volumes = pod.volumes.map((volume) => volume.name)
    expect(volumes).toHaveLength(new Set(volumes).size)
    const mounted = containersOf(workload).flatMap(({ volumeMounts }) => volumeMounts.map((mount) => mount.name))
    expect([...new Set(mounted)].toSorted()).toEqual(volumes.toSorted())
    for (const { configMap } of pod.volumes) if (configMap !== undefined) expect(maps).toContain(configMap.name)
    for (const { volumeMounts } of containersOf(workload)) {
      const paths = volumeMounts.map((mount) => mount.mountPath)
      expect(paths).toHaveLength(new Set(paths).size)
    }
  }
  const portsOf = (selector: object): readonly string[] =>
    workloads
      .filter(({ labels }) => selects(selector, labels))
      .flatMap(({ pod }) =>
        pod.containers.flatMap(({ ports = [] }) => ports.map((port) => `${port.name} ${port.protocol}`)),
      )
  for (const { spec } of kind(manifests, 'Service')) {
    for (const { targetPort, protocol } of spec.ports)
      expect(portsOf(spec.selector)).toContain(`${targetPort} ${protocol}`)
  }
  for (const { spec } of kind(manifests, 'NetworkPolicy')) {
    for (const { ports } of spec.ingress)
      for (const { port, protocol } of ports)
        expect(portsOf(spec.podSelector.matchLabels)).toContain(`${port} ${protocol}`)
  }
  for (const { spec } of kind(manifests, 'PodDisruptionBudget')) {
    expect(workloads.filter(({ labels }) => selects(spec.selector.matchLabels, labels))).toHaveLength(1)
    expect(spec.maxUnavailable).toBeTruthy()
  }
  for (const { spec } of kind(manifests, 'ServiceMonitor')) {
    const services = kind(manifests, 'Service').filter(({ metadata }) =>
      selects(spec.selector.matchLabels, metadata.labels),
    )
    expect(services).toHaveLength(1)
    expect(services[0].spec.ports.map((port: { name: string }) => port.name)).toContain(spec.endpoints[0].port)
  }
})

test.each(Object.keys(VARIATIONS))('every container is confined: %s', (name) => {
  for (const workload of workloadsOf(rendered.get(name)!)) {
    const { pod } = workload
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
    expect(pod).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false })
    for (const key of ['hostPID', 'hostIPC', 'shareProcessNamespace']) expect(pod[key]).toBeUndefined()
    for (const container of containersOf(workload)) {
      const isAnnounce = container.name === 'announce'
      expect({ [container.name]: container.securityContext }).toEqual({
        [container.name]: {
          ...(isAnnounce && { runAsUser: 0 }),
          ...(container.name.startsWith('git-') && { runAsUser: 65533 }),
          runAsNonRoot: !isAnnounce,
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: isAnnounce ? { drop: ['ALL'], add: ['NET_ADMIN'] } : { drop: ['ALL'] },
        },
      })
      expect(container['resources']).toMatchObject({ limits: { memory: expect.any(String) } })
    }
    // what may be written: memory and state, and what a container fetches for the others
    const writable = (container: Container): readonly string[] =>
      container.volumeMounts.flatMap((mount) => ('readOnly' in mount ? [] : [mount.name]))
    for (const container of pod.containers) {
      const allowed = { 'git-sync': ['zones', 'git-tmp'], 'geo-update': ['geo', 'geo-tmp'] }[container.name]
      expect(writable(container)).toEqual(allowed ?? ['state', 'tmp'])
    }
    const { sysctls = [] } = pod.securityContext
    for (const sysctl of sysctls)
      expect(['net.ipv4.ping_group_range', 'net.ipv4.ip_unprivileged_port_start']).toContain(sysctl.name)
    expect(pod['hostNetwork'] === true && sysctls.length > 0).toBe(false) // Kubernetes refuses such pods
  }
})

test('only the process that announces has a capability, and only where something is announced', () => {
  const announcing = [...rendered].filter(([, manifests]) =>
    workloadsOf(manifests).some((one) => containersOf(one).some(({ name }) => name === 'announce')),
  )
  expect(announcing.map(([name]) => name)).toEqual(['anycast'])
})

const patience = (probe: Mapping): number => Number(probe['periodSeconds']) * Number(probe['failureThreshold'])

test.each(Object.keys(VARIATIONS))('probes ask whether a process lives and is ready, and nothing else: %s', (name) => {
  for (const { pod } of workloadsOf(rendered.get(name)!)) {
    const [meridian] = pod.containers
    const scheme = name === 'everything at once' ? 'HTTPS' : 'HTTP'
    const get = (path: string) => ({ httpGet: { path, port: 'http', scheme } })
    expect(meridian).toMatchObject({
      startupProbe: get('/live'),
      livenessProbe: get('/live'),
      readinessProbe: get('/ready'),
    })
    // a start of minutes is not killed, nor a main thread that is busy for half a minute
    expect(patience(meridian!.startupProbe!)).toBeGreaterThanOrEqual(600)
    expect(patience(meridian!.livenessProbe!)).toBeGreaterThanOrEqual(60)
    for (const other of pod.containers.slice(1)) expect(other.livenessProbe).toBeUndefined()
  }
})

test.each(Object.keys(VARIATIONS))('a pod that ends has the time that it needs: %s', (name) => {
  for (const workload of workloadsOf(rendered.get(name)!)) {
    const { pod, kind: of, spec } = workload
    const [meridian] = pod.containers
    const drain = Number(meridian!.lifecycle?.preStop.exec.command[1] ?? 0)
    const wait = Number(/\d+/.exec(settingsOf(name, workload)['announce']?.wait ?? '0')![0])
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(drain + wait + 30)
    expect(drain > 0 && wait > 0).toBe(false) // one of them suffices
    if (of === 'StatefulSet') continue
    const { rollingUpdate } = spec.strategy ?? spec.updateStrategy!
    expect(rollingUpdate).toEqual({
      maxUnavailable: 1,
      maxSurge: of === 'Deployment' && pod['hostNetwork'] !== true ? 1 : 0,
    })
  }
})

/** meridian.yaml of a pod. */
function textOf(name: string, { pod }: Workload): string {
  const { configMap } = pod.volumes.find((volume) => volume.name === 'settings')!
  return kind(rendered.get(name)!, 'ConfigMap').find((one) => one.metadata.name === configMap!.name).data[
    'meridian.yaml'
  ]
}
const settingsOf = (name: string, workload: Workload): ReturnType<typeof JSON.parse> => parse(textOf(name, workload))

const ROLES: Readonly<Record<string, Role>> = { node: 'serve', prober: 'probe', announce: 'announce' }

test.each(Object.keys(VARIATIONS))('Meridian takes the settings and the environment: %s', (name) => {
  for (const workload of workloadsOf(rendered.get(name)!)) {
    for (const container of containersOf(workload)) {
      const role = ROLES[container.name]
      if (role === undefined) continue
      expect(container.args).toEqual([role, '-c', '/etc/meridian/meridian.yaml'])
      const secret: Readonly<Record<string, string>> = {
        MERIDIAN_REDIS: 'redis://user:password@redis.example.com:6379',
        MERIDIAN_REDIS_SECRET: 'a-secret-of-sixteen-and-more',
      }
      const env = Object.fromEntries(
        container.env.map(({ name: key, value }) => [key, (value ?? secret[key])?.replace('$(POD_NAME)', 'pod-0')]),
      )
      const folder = writeZones({
        'meridian.yaml': textOf(name, workload).replaceAll('/etc/meridian/secrets/', 'secrets/'),
        'secrets/meridian-tokens/tokens': `ops sha256:${'0'.repeat(64)} read\n`,
        'secrets/dns-tls/tls.crt': good.cert,
        'secrets/dns-tls/tls.key': good.key,
      })
      // Secrets have the mode that their volume gives them
      for (const { name: volume, secret: source } of workload.pod.volumes) {
        const files = join(folder, 'secrets', volume.replace('secret-', ''))
        if (volume.startsWith('secret-'))
          for (const file of readdirSync(files)) chmodSync(join(files, file), source!.defaultMode)
      }
      const { config, problems } = loadSettings({ file: join(folder, 'meridian.yaml'), env, flags: [], role })
      expect(problems).toEqual([])
      // the environment, which wins, and the file say the same
      const file = loadSettings({ file: join(folder, 'meridian.yaml'), env: {}, flags: [] })
      expect(file.config).toMatchObject({ zones: config!.zones, state: config!.state })
      const { containerPort } = container.ports?.find((port) => port.name === 'http') ?? {}
      if (containerPort !== undefined) expect(config!['http.listen'].port).toBe(containerPort)
      const zones = container.volumeMounts.find((mount) => mount.name === 'zones')!.mountPath
      expect(config!.zones === zones || config!.zones.startsWith(`${zones}/`)).toBe(true)
      const dns = container.ports?.filter((port) => port.name.startsWith('dns-')).map((port) => port.containerPort)
      if (role === 'serve') expect(new Set(config!.listen.map(({ port }) => port))).toEqual(new Set(dns))
    }
  }
})

const named = (name: string): readonly (string | undefined)[] =>
  workloadsOf(rendered.get(name)!).map(
    ({ pod }) => pod.containers[0]!.env.find((one) => one.name === 'MERIDIAN_NODE_NAME')!.value,
  )

test('nodes and probers of several clusters have names of their own', () => {
  expect(named('fleet')).toEqual(['fra-$(POD_NAME)', 'fra-$(POD_NAME)'])
  expect(named('probers')).toEqual(['syd-$(POD_NAME)'])
})

test('the zones of the example are whole', async () => {
  const map = kind(rendered.get('trial')!, 'ConfigMap').find((one) => one.metadata.name.endsWith('-zones'))
  const { problems, model } = await loadFolder(writeZones(map.data))
  expect(problems).toEqual([])
  expect(model).toBeDefined()
})

test('the rules are those of deploy/prometheus', () => {
  const rules = readFileSync(join(ROOT, 'deploy/prometheus/meridian.rules.yaml'), 'utf8')
  const copy = readFileSync(join(CHART, 'files/meridian.rules.yaml'), 'utf8')
  expect(copy, 'cp deploy/prometheus/meridian.rules.yaml deploy/kubernetes/meridian/files/').toBe(rules)
  const [rule] = kind(rendered.get('fleet')!, 'PrometheusRule')
  expect(rule.spec).toEqual(JSON.parse(JSON.stringify(parse(rules))))
  const [monitor] = kind(rendered.get('fleet')!, 'ServiceMonitor')
  expect(rules).toContain('job="meridian"')
  expect(monitor.spec.endpoints[0].relabelings).toEqual([{ targetLabel: 'job', replacement: 'meridian' }])
})

test.each([
  ['zones: give exactly one of', []],
  ['zones: give exactly one of', [...ALONE, '--set', 'zones.files.a=b']],
  ['cluster: name this cluster', [...ALONE, '--set', 'redis.urlSecret.name=redis']],
  ['probers: without redis.urlSecret', ['--set', GIT]],
  ['nodes.hostNetwork must be true', [...ALONE, '--set', 'announce.enabled=true,announce.addresses={192.0.2.53}']],
  ['name the anycast addresses', [...ALONE, '--set', 'announce.enabled=true,nodes.hostNetwork=true']],
  ['geo: name the Secret', [...ALONE, '--set', 'geo.enabled=true']],
  ['name the Secret in zones.git.secret', [...ALONE, '--set', 'zones.git.auth=ssh']],
  ["additional properties 'replica' not allowed", [...ALONE, '--set', 'nodes.replica=2']],
  ["at '/cluster'", [...ALONE, '--set', 'cluster=a-name-that-is-too-long']],
  ["at '/nodes/kind'", [...ALONE, '--set', 'nodes.kind=StatefulSet']],
] as const)('values that cannot work are refused: %s', (said, args) => {
  const refused = template(args)
  expect(refused.status).not.toBe(0)
  expect(refused.said).toContain(said)
})

test('every value of values.yaml is in the schema', () => {
  const missing = (values: unknown, schema: ReturnType<typeof JSON.parse>, path: string): readonly string[] => {
    if (typeof values !== 'object' || values === null || Array.isArray(values) || schema?.properties === undefined)
      return schema === undefined ? [path] : []
    return Object.entries(values).flatMap(([key, value]) =>
      missing(value, resolved(schema.properties[key]), `${path}.${key}`),
    )
  }
  const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8'))
  const resolved = (one: { $ref?: string } | undefined): unknown =>
    one?.$ref === undefined ? one : schema.definitions[one.$ref.split('/').at(-1)!]
  expect(
    missing(parse(readFileSync(join(CHART, 'values.yaml'), 'utf8'), { schema: YAML11_SCHEMA }), schema, ''),
  ).toEqual([])
})

test('the chart is of the version of the package', () => {
  const { version }: { version: string } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  expect(parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8'))).toMatchObject({ version, appVersion: version })
})

test('docs/kubernetes.md has each example', () => {
  const docs = readFileSync(join(ROOT, 'docs/kubernetes.md'), 'utf8')
  const rows = [...docs.matchAll(/^\| `(\w+)\.yaml` \|/gm)].map(([, name]) => name)
  expect(new Set(rows)).toEqual(new Set(EXAMPLES))
})
