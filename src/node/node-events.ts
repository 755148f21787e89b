/**
 * The events of a running node: takes what its parts tell, looks at what only has a state, and keeps both as events.
 * Made by RunningNode, which passes on what its parts tell; event-sources.ts makes events of it.
 */
import type { Logger } from 'pino'
import type { AnnounceReport } from '../api/announcing.ts'
import { endingCertificates } from '../api/probing.ts'
import type { Config } from '../config.ts'
import type { NewEvent } from '../events/event.ts'
import { Events } from '../events/events.ts'
import { eventInWords } from '../events/words.ts'
import type { Change, NodeHealth, OverrideChange, Topic } from '../health/node-health.ts'
import type { Store } from '../health/store.ts'
import type { CertifiedTarget } from '../probe/thread.ts'
import type { ServerStats } from '../server/server.ts'
import { count } from '../units.ts'
import { VERSION } from '../version.ts'
import type { WorldBuild } from '../world/build.ts'
import type { ReloadResult } from '../world/reloads.ts'
import {
  announceEvent,
  databasesEvent,
  drillEvent,
  fleetFacts,
  loadEvent,
  newsEvent,
  overrideEvent,
  ownCertificateFacts,
  type OwnCertificate,
  siteCertificateFacts,
  storeFact,
  threadCounts,
  unheldEvent,
  verdictEvent,
  zonesEvent,
} from './event-sources.ts'
import type { DrillReport } from './drill-report.ts'
import { EventWatch, type Fact } from './event-watch.ts'
import type { Unheld } from './schedule.ts'

/** What is looked at. */
export interface NodeState {
  readonly health: Pick<NodeHealth, 'fleet' | 'doubts'>
  readonly server: ServerStats | undefined
  readonly certificates: readonly OwnCertificate[]
  readonly prober: { readonly certificates: readonly CertifiedTarget[]; readonly restarts: number } | undefined
}

/** What NodeEvents needs of its node. */
export interface NodeEventsSettings {
  readonly config: Config
  readonly log: Logger
  readonly store: Store
  readonly state: () => NodeState
  /** Why the run before did not end in order; undefined: it did. */
  readonly lastRunCrash: string | undefined
}

/** Goes through all votes, and through all certificates. */
const SLOW_LOOK_MS = 30_000
/** The Store was away: who is silent is known again after so long. */
const STORE_SETTLES_MS = 5_000

/** The events of a node. Order of calls: start, started, stop; what parts tell may come at any time. */
export class NodeEvents {
  readonly events: Events
  readonly #settings: NodeEventsSettings
  readonly #watch: EventWatch
  #storeTrouble: string | undefined
  /** Since when it works, of performance.now(). */
  #storeWorksMs = performance.now()
  #fleet: readonly Fact[] = []
  /** Probers with doubts at the last look, and those that were there at the look before, too. */
  #doubts: ReadonlyMap<string, string> = new Map()
  #lastingDoubts: ReadonlyMap<string, string> = new Map()
  #ending: readonly Fact[] = []
  #slowLookMs = -Infinity
  #hasStarted = false

  constructor(settings: NodeEventsSettings) {
    this.#settings = settings
    const { config, store, log } = settings
    this.events = new Events({
      node: config['node.name'],
      folder: config.state,
      board: store.eventBoard,
      onTrouble: (trouble, lost) => {
        if (trouble !== undefined) return log.warn(`${trouble}; the node goes on, and keeps the last events in memory`)
        const gap = lost === 0 ? '' : `; it lacks ${count(lost, 'event')} for which there was no room in memory`
        log.info(`events are written to the state folder again${gap}`)
      },
    })
    this.#watch = new EventWatch({
      facts: () => this.#facts(performance.now()),
      threads: () => {
        const { server, prober } = settings.state()
        return threadCounts(server, prober?.restarts ?? 0)
      },
      add: (event) => this.#add(event),
    })
  }

  /** Takes in the events of earlier runs. */
  async start(): Promise<void> {
    const { log, lastRunCrash, config } = this.#settings
    const unread = await this.events.start()
    if (unread > 0) log.info({ unread }, `${count(unread, 'line')} of the events’ file can’t be read: left out`)
    if (lastRunCrash === undefined) return
    const about = { kind: 'process', subject: config['node.name'], before: 'running', after: 'crashed' } as const
    this.#add({ ...about, severity: 'critical', why: lastRunCrash })
  }

  /** The node serves. `what`: which zones, in words. */
  started(what: string, made: WorldBuild, revision: string | null, takeover: boolean): void {
    const { config } = this.#settings
    this.#hasStarted = true
    this.#add({
      kind: 'process',
      severity: 'info',
      subject: config['node.name'],
      after: 'started',
      why: `version ${VERSION}: ${what}`,
      details: { version: VERSION, takeover, revision, view: made.view },
    })
    this.#add(databasesEvent(made, undefined))
    this.#watch.start()
  }

  /** The node begins to end. */
  stopping(): void {
    this.#watch.stop()
    if (!this.#hasStarted) return
    const subject = this.#settings.config['node.name']
    this.#add({ kind: 'process', severity: 'info', subject, before: 'started', after: 'ends', why: 'it ends in order' })
  }

  verdict(change: Change): void {
    this.#add(verdictEvent(change))
  }

  news(level: 'info' | 'warn', news: string, topic: Topic | undefined): void {
    this.#add(newsEvent(level, news, topic))
  }

  override(change: OverrideChange): void {
    const event = overrideEvent(change)
    if (event === undefined) return
    const { id, before, after, details, ...rest } = this.events.add(event)
    // what time does by itself; orders are logged where they are given
    const isByTime = change.arrived || (change.now === undefined && change.undone === undefined)
    if (!isByTime) return
    const line = eventInWords({ id, before, after, ...rest })
    this.#settings.log.info({ override: change.pattern, before, after, ...details }, line)
  }

  drill(report: DrillReport): void {
    this.#add(drillEvent(report))
  }

  unheld(unheld: Unheld): void {
    this.#add(unheldEvent(unheld))
  }

  load(load: ReloadResult, before: ReloadResult | undefined): void {
    this.#add(loadEvent(load, before))
  }

  published(made: WorldBuild, load: ReloadResult, before: WorldBuild | undefined): void {
    this.#add(zonesEvent(made, load, before))
    this.#add(databasesEvent(made, before))
  }

  announce(report: AnnounceReport, before: AnnounceReport | null): void {
    this.#add(announceEvent(this.#settings.config['node.name'], report, before))
  }

  /** An operator has accepted what was held back. */
  accepted(kind: 'zones' | 'databases', who: string, build: string): void {
    const why = `accepted by ${who}`
    this.#add({
      kind,
      severity: 'info',
      subject: kind,
      before: 'held back',
      after: 'accepted',
      why,
      details: { who, build },
    })
  }

  /** Redis can’t be used; undefined: it works. */
  storeTrouble(trouble: string | undefined): void {
    this.#storeTrouble = trouble
  }

  /** What keeps events from the disk, in words. */
  get troubles(): readonly string[] {
    return this.events.troubles
  }

  async stop(): Promise<void> {
    await this.events.stop()
  }

  #add(event: NewEvent | undefined): void {
    if (event !== undefined) this.events.add(event)
  }

  #facts(nowMs: number): readonly Fact[] {
    const { store, state } = this.#settings
    const { health, certificates, prober } = state()
    if (nowMs - this.#slowLookMs >= SLOW_LOOK_MS) {
      this.#slowLookMs = nowMs
      const doubts = health.doubts
      this.#lastingDoubts = new Map([...doubts].filter(([name, doubt]) => this.#doubts.get(name) === doubt))
      this.#doubts = doubts
      this.#ending = siteCertificateFacts(endingCertificates(prober?.certificates ?? []))
    }
    // while Redis is away everyone is silent, and that is told already
    if (store.trouble !== undefined) this.#storeWorksMs = nowMs
    if (nowMs - this.#storeWorksMs >= STORE_SETTLES_MS) this.#fleet = fleetFacts(health.fleet, this.#lastingDoubts)
    return [...this.#fleet, storeFact(this.#storeTrouble), ...ownCertificateFacts(certificates), ...this.#ending]
  }
}
