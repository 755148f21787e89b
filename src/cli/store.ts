/** What the settings make of health's parts: the Store that votes go through, and this process's own prober. */
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { MemoryStore } from '../health/memory.ts'
import type { Store } from '../health/store.ts'
import { type ProberThread, startProber } from '../probe/thread.ts'

/** Trouble of the Store is a state and stops nothing; it is logged when it changes. */
export function makeStore(_config: Config, _log: Logger): Store {
  return new MemoryStore()
}

/** What is wrong with a URL of Redis; undefined: nothing. */
export const redisFault = (_url: string): string | undefined => undefined

export const makeProber = (config: Config, store: Store, log: Logger): ProberThread =>
  startProber({
    name: config['node.name'],
    region: config['probe.region'],
    canaries: config['probe.canaries'],
    store,
    onTrouble: (trouble) => log.warn(trouble),
  })
