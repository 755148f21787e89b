/** What the settings make of health's parts: the Store that votes go through, and this process's own prober. */
import type { Logger } from 'pino'
import type { ProbeSettings } from '../answer/fit.ts'
import type { Config } from '../config.ts'
import { MemoryStore } from '../health/memory.ts'
import { openRedisStore, parseRedisUrl } from '../health/redis.ts'
import type { Store } from '../health/store.ts'
import { type ProberThread, startProber } from '../probe/thread.ts'

/** Trouble of the Store is a state and stops nothing; it is logged when it changes. */
export function makeStore({ redis }: Config, log: Logger): Store {
  if (redis === undefined) return new MemoryStore()
  const onTrouble = (trouble: string | undefined): void => {
    if (trouble === undefined) log.info('Redis is reached, and all is well with it')
    else log.warn(`${trouble}; what was heard last stands`)
  }
  return openRedisStore(redis.reveal(), { onTrouble, onRefused: (line) => log.warn(line) })
}

/** What is wrong with a URL of Redis; undefined: nothing. */
export function redisFault(url: string): string | undefined {
  const place = parseRedisUrl(url)
  return typeof place === 'string' ? place : undefined
}

/** What a load checks against this process's prober: more checks than fit, commands that there are not. */
export const probeSettings = (config: Config): ProbeSettings => ({
  threads: config['probe.threads'],
  rate: config['probe.rate'],
  exec: Object.keys(config['probe.exec']),
  shared: config.redis !== undefined,
})

export const makeProber = (config: Config, store: Store, log: Logger): ProberThread =>
  startProber({
    name: config['node.name'],
    region: config['probe.region'],
    threads: config['probe.threads'],
    rate: config['probe.rate'],
    canaries: config['probe.canaries'],
    commands: config['probe.exec'],
    store,
    onTrouble: (trouble) => log.warn(trouble),
  })
