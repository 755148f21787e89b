/** What Meridian is told in the lab: the zones in git, and meridian.yaml of nodes and probers. */
import {
  address,
  ANYCAST,
  GIT,
  GIT_PORT,
  PARENT,
  REDIS,
  REDIS_PORT,
  type Region,
  REGIONS,
  SITE_OF,
  ZONE,
} from './plan.ts'

/** Fast, so that scenes are short. */
const CHECK = '{type: http, port: 80, path: /healthz, interval: 1s, timeout: 500ms, fast: 250ms, fall: 3, rise: 2}'
export const CHECK_TIMES = { intervalMs: 1_000, timeoutMs: 500, fastMs: 250, fall: 3 } as const
/** In seconds. */
export const TTL_MAX = 5

const members = REGIONS.map((region) => {
  const { v4, v6 } = address(region, 'vip')
  return `    ${SITE_OF[region]}: {vips: [${v4}, "${v6}"]}`
})

/** The files in the repository. */
export const ZONES: Readonly<Record<string, string>> = {
  'sites.yaml': `fra: {location: [50.11, 8.68], region: eu}
iad: {location: [38.95, -77.45], region: us}
sin: {location: [1.36, 103.99], region: ap}
`,
  'services.yaml': `web:
  sites:
${members.join('\n')}
  check: ${CHECK}
  ttl: {max: ${TTL_MAX}, min: 2, settle: 10s}
`,
  'defaults.yaml': 'soa: {minimum: 5}\nttl: 5\n',
  [`${ZONE}.yaml`]: `"": {type: NS, values: [ns1.${ZONE}.]}
ns1:
  - {type: A, values: [${ANYCAST.v4}]}
  - {type: AAAA, values: ["${ANYCAST.v6}"]}
www: {type: GSLB, service: web}
"*.load": {type: GSLB, service: web}
`,
}

export const nodeSettings = (region: Region, zones: string): string => {
  const { v4, v6 } = address(region, 'node')
  return `listen: ["${v4}:53", "${ANYCAST.v4}:53", "[${v6}]:53", "[${ANYCAST.v6}]:53"]
zones: ${zones}
state: state
threads: 1
geo: {city: [city.mmdb]}
geo.maxMove: 20%
node: {name: ${region}, nsid: ${region}}
probe.enabled: false
redis: redis://${REDIS.v4}:${REDIS_PORT}
announce: {form: route, addresses: ["${ANYCAST.v4}/24", "${ANYCAST.v6}/48"], wait: 2s}
`
}

/** Canaries are in other regions, so that a prober whose region is cut off does not take the sites of the others down. */
export const proberSettings = (region: Region, zones: string): string => {
  const canaries = region === PARENT.region ? [`${GIT.v4}:${GIT_PORT}`] : [`${PARENT.v4}:53`, `[${PARENT.v6}]:53`]
  return `zones: ${zones}
state: prober-state
node: {name: probe-${region}}
redis: redis://${REDIS.v4}:${REDIS_PORT}
probe: {region: ${region}, canaries: [${canaries.map((canary) => `"${canary}"`).join(', ')}]}
`
}
