/**
 * Makes, from the settings, the Store, the prober and the notifications of a process, and the limits on what checks may
 * reach. Called by RunningNode, RunningProber and `check`. Checks never reach this node's own `http.listen` or Redis.
 */
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { trustAuthorities } from '../authorities.ts'
import type { Config, Log } from '../config.ts'
import { familyOf } from '../dns/address.ts'
import { Notifications } from '../events/notify/notifications.ts'
import { Turns } from '../events/notify/turns.ts'
import type { NodeHealth } from '../health/node-health.ts'
import type { OwnPort, ReachSettings } from '../health/reach.ts'
import type { NodeStore, Store } from '../health/store.ts'
import { targetInWords } from '../health/target.ts'
import { type ProberThread, startProber } from '../probe/thread.ts'
import { MemoryStore } from '../store/memory.ts'
import { openRedisStore, parseRedisUrl } from '../store/redis/store.ts'
import { TroubleLog } from '../store/trouble-log.ts'
import type { QueryLogSettings } from '../server/query-log.ts'
import type { Endpoint } from '../units.ts'
import { VERSION } from '../version.ts'
import type { ProbeSettings } from '../world/settings-check.ts'
import { Announcer } from './announce/announcer.ts'
import { canariesOf } from './announce/canary.ts'
import type { AnnounceDesk } from './announce/desk.ts'
import { formOf } from './announce/forms.ts'
import { DrillSchedule, type ScheduleSettings } from './schedule.ts'

/**
 * Opens the Store: in Redis if the setting `redis` is there, else in memory. Its trouble stops nothing; changes are
 * logged, and told to `onTrouble` (undefined: it works again) as seldom.
 */
export function makeStore(
  config: Config,
  role: 'node' | 'prober',
  log: Logger,
  onTrouble: (trouble: string | undefined) => void = () => {},
): NodeStore {
  const { redis } = config
  if (redis === undefined) return new MemoryStore()
  if (redis.reveal().startsWith('rediss')) trustAuthorities(config['tls.ca'])
  const troubleLog = new TroubleLog({
    onTrouble: (trouble) => {
      log.warn(`${trouble}; the last known health stays in use`)
      onTrouble(trouble)
    },
    onWorks: () => {
      log.info('Redis is connected and works')
      onTrouble(undefined)
    },
  })
  const note = (trouble: string | undefined): void => troubleLog.note(trouble)
  const secrets = config['redis.secret'].map((secret) => secret.reveal())
  return openRedisStore(redis.reveal(), { role, secrets, onTrouble: note, onRefused: (line) => log.warn(line) })
}

/** What checks may reach. The HTTP port of this node and its Redis are denied: no site is there. */
const reachSettings = (config: Config): ReachSettings => ({
  allow: config['probe.allow'],
  deny: config['probe.deny'],
  own: [...httpPorts(config['http.listen']), ...redisPorts(config.redis)],
})

/** The addresses of `http.listen`; all addresses of this host if it listens on all. */
function httpPorts({ address, port }: Endpoint): OwnPort[] {
  const isAll = address === '0.0.0.0' || address === '::'
  const family = familyOf(address) === 4 ? 'IPv4' : 'IPv6'
  const addresses = Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .filter((one) => address === '::' || one.family === family)
  // all of 127.0.0.0/8 is this host, whatever the interfaces list
  return (isAll ? ['127.0.0.0/8', ...addresses.map((one) => one.address)] : [address]).map((one) => ({
    address: one,
    port,
    what: 'where http.listen of this node is',
  }))
}

function redisPorts(redis: Config['redis']): OwnPort[] {
  const place = redis && parseRedisUrl(redis.reveal())
  if (place === undefined || typeof place === 'string') return []
  return place.hosts.map(({ host, port }) => ({ address: host, port, what: 'where Redis of this node is' }))
}

/** What a load checks the zones against: how many checks this prober can make, its commands, and what it may reach. */
export const probeSettings = (config: Config): ProbeSettings => ({
  threads: config['probe.threads'],
  rate: config['probe.rate'],
  exec: Object.keys(config['probe.exec']),
  ca: Object.keys(config['probe.ca']),
  headers: Object.keys(config['probe.headers']),
  reach: reachSettings(config),
  shared: config.redis !== undefined,
})

/** Starts the prober of this process. */
export const makeProber = (config: Config, store: Store, log: Logger): ProberThread =>
  startProber({
    name: config['node.name'],
    region: config['probe.region'],
    threads: config['probe.threads'],
    rate: config['probe.rate'],
    canaries: config['probe.canaries'],
    checks: {
      commands: config['probe.exec'],
      authorities: config['probe.ca'],
      headerValues: Object.fromEntries(
        Object.entries(config['probe.headers']).map(([name, value]) => [name, value.reveal()]),
      ),
    },
    trusted: config['tls.ca'],
    reach: reachSettings(config),
    store,
    onTrouble: (trouble) => log.warn(trouble),
    onVote: (target, vote, before) => {
      // that a site is up, as expected, when it is seen first: a line for each would bury what matters
      const isNews = vote.value !== (before?.value ?? 'up')
      const { value, reason } = vote
      const from = before === undefined ? 'no vote' : before.value
      log[isNews ? 'info' : 'debug'](
        { target: target.id, address: target.address, vote, before: before?.value ?? null },
        `${targetInWords(target)}: this prober votes ${value} (${from} before): ${reason}`,
      )
    },
  })

/** Tells receivers of events; undefined: the setting `notify` names none. */
export function makeNotifications(
  config: Config,
  store: NodeStore,
  health: NodeHealth,
  log: Log,
): Notifications | undefined {
  if (Object.keys(config.notify).length === 0) return undefined
  trustAuthorities(config['tls.ca'])
  const self = health.identity
  return new Notifications({
    receivers: config.notify,
    fleet: { self, live: () => health.liveNodes(), trouble: () => store.trouble },
    board: store.sendingBoard(self),
    file: join(config.state, 'notify.json'),
    log,
  })
}

/** Begins the drills of drills.yaml. */
export function makeSchedule(
  config: Config,
  store: NodeStore,
  health: NodeHealth,
  rest: Omit<ScheduleSettings, 'file' | 'turns' | 'board' | 'freeze'>,
): DrillSchedule {
  const self = health.identity
  return new DrillSchedule({
    ...rest,
    file: join(config.state, 'schedule.json'),
    turns: new Turns({ self, live: () => health.liveNodes(), trouble: () => store.trouble }),
    board: store.sendingBoard(self),
    freeze: () => {
      const { status } = health.controls
      return status === null ? undefined : `by ${status.who}: ${status.why}`
    },
  })
}

/** What is recorded of queries; undefined: nothing. */
export function queryLogSettings(config: Config): QueryLogSettings | undefined {
  const { 'queryLog.file': file, 'queryLog.dnstap': dnstap, 'queryLog.sample': sample } = config
  if (file === undefined && dnstap === undefined) return undefined
  const paths = { ...(file !== undefined && { file }), ...(dnstap !== undefined && { dnstap }) }
  return { paths, sample, sender: { identity: config['node.name'], version: `meridian ${VERSION}` } }
}

/** Judges this node from within, for the form `http`. */
export function makeAnnouncer(
  config: Config,
  store: NodeStore,
  health: NodeHealth,
  desk: AnnounceDesk,
  log: Log,
): Announcer {
  return new Announcer({
    canaries: canariesOf(config),
    form: formOf(config, () => {}),
    board: store.shared ? store.announceBoard(health.identity) : undefined,
    others: config['announce.others'],
    tell: async (report) => desk.take(report),
    log,
  })
}
