/**
 * A running node: connects its parts and passes results between them. Decisions are made in the parts, not here.
 *
 *   Reloader: compile thread ─▶ World, plan ─▶ slots ─▶ NodeHealth.adopt ─▶ Server.publish ─▶ prober
 *   probers ═══▶ Store ═══▶ NodeHealth ═══▶ HealthTable ═══▶ answering threads
 *   Doors: control socket, http.listen ◀── readiness, status, metrics, explain, overrides
 *
 * Used by `serve` and by `demo`.
 */
import { hash } from 'node:crypto'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { makeAdoption } from '../answer/adoption.ts'
import type { World } from '../answer/world.ts'
import type { Announcement, AnnounceReport, NodeWord } from '../api/announcing.ts'
import type { AcceptBody, DrillBody, ForgetBody, FreezeBody, OverrideBody, ReturnBody } from '../api/bodies.ts'
import type { Node, Question, Readiness, Refusal, StatusFilter } from '../api/contract.ts'
import { applyFreeze, applyReturn, type FreezeResult, type ReturnResult } from '../api/controls.ts'
import type { ExplainResponse } from '../api/explained.ts'
import { type Board, boardOf } from '../api/board.ts'
import { renderMetrics, type RenderedSamples } from '../api/metrics.ts'
import { QueryOrigins } from '../api/origins.ts'
import {
  applyOverride,
  applyOverrides,
  type ForgetResult,
  notStoredIn,
  type OverrideResult,
  type OverridesResult,
} from '../api/override.ts'
import { AnswerRates } from '../api/rates.ts'
import { recentChanges } from '../api/recent.ts'
import { samplesOf } from '../api/samples.ts'
import { type MadeBody, SharedBody } from '../api/shared-body.ts'
import { filterFault, type NodeState, type Status, statusOf, wantedBy } from '../api/status.ts'
import { type Summary, summaryOf } from '../api/summary.ts'
import { viewOfWorld, type WorldView } from '../api/world.ts'
import { WrongAnswers } from '../api/wrong-answers.ts'
import type { Config, Log } from '../config.ts'
import { AnswerCells } from '../counters.ts'
import type { EventFeed } from '../events/events.ts'
import type { EventPage, EventQuery } from '../events/list.ts'
import type { Notifications } from '../events/notify/notifications.ts'
import { explain } from '../explain/explain.ts'
import { nameOf } from '../git.ts'
import {
  type Change,
  type HealthOverview,
  type MemberStanding,
  NodeHealth,
  type Outlook,
  type OverrideStatus,
  type ReasonChange,
} from '../health/node-health.ts'
import type { NodeStore } from '../health/store.ts'
import {
  FRESH,
  HEALTH_SLOTS,
  KNOWLEDGE,
  makeHealthTable,
  NOT_READY,
  SERVICE_SLOTS,
  SlotRegistry,
  STALE,
} from '../health/table.ts'
import { droppedDatagrams } from '../linux/drops.ts'
import type { ProberThread } from '../probe/thread.ts'
import { messageOf, type Problem, StartError } from '../problem.ts'
import { limitedInWords } from '../server/limit-watch.ts'
import { Notifier } from '../server/notify.ts'
import { type Server, startServer } from '../server/server.ts'
import { count, familiesOf, formatEndpoint } from '../units.ts'
import { VERSION } from '../version.ts'
import type { WorldBuild } from '../world/build.ts'
import { startCompiler } from '../world/compiler.ts'
import { LOCK_WAIT } from '../world/folder.ts'
import { Census } from '../traffic/census.ts'
import { mostMoved } from '../traffic/service-moves.ts'
import { movingInWords } from '../traffic/words.ts'
import { acceptBuild, type DatabaseHold } from '../world/geo-hold.ts'
import { type ReloadResult, loadForLog, Reloader } from '../world/reloads.ts'
import { readAbortRule } from '../zone/drills.ts'
import { firstZone } from '../zone/image.ts'
import { acceptZones, type ZonesHeld } from '../world/zone-hold.ts'
import type { Announcer } from './announce/announcer.ts'
import { AnnounceDesk } from './announce/desk.ts'
import { CertificateFiles } from './certificate.ts'
import { claimState, Doors, listenDns } from './doors.ts'
import { Drills } from './drill.ts'
import type { DrillReport } from './drill-report.ts'
import { NodeEvents } from './node-events.ts'
import { LiveProtocol } from './protocol.ts'
import { SerialFile } from './serial.ts'
import type { DrillSchedule } from './schedule.ts'
import {
  makeAnnouncer,
  makeNotifications,
  makeProber,
  makeSchedule,
  makeStore,
  probeSettings,
  queryLogSettings,
} from './wiring.ts'

/** What a node is started with. */
export interface NodeOptions {
  readonly config: Config
  /** Start beside a node on the same addresses, and take over from it. */
  readonly takeover: boolean
  readonly log: Logger
  /** Why the run before did not end in order; undefined: it did. */
  readonly lastRunCrash?: string | undefined
}

/** A node without saved health is ready after this time at the latest, even if members have no verdict yet. */
const READY_AT_LAST_MS = 30_000
const DRAIN_MS = 5_000
const TICK_MS = 250
const REASON_MS = 60_000
/** Events that the last changes of the summary are made of: a large site may have died. */
const MOST_RECENT = 1_000
/** Autonomous systems with a series of their own in the metrics. */
const MOST_SYSTEMS = 100

/** A node that serves: start() to stop(). */
export class RunningNode implements Node {
  readonly #config: Config
  readonly #log: Logger
  readonly #takeover: boolean
  readonly #table = makeHealthTable()
  readonly #slots = new SlotRegistry()
  readonly #serviceSlots = new SlotRegistry(SERVICE_SLOTS)
  readonly #cells = new AnswerCells()
  readonly #events: NodeEvents
  readonly #store: NodeStore
  readonly #adoption = makeAdoption()
  readonly #health: NodeHealth
  readonly #loads: Reloader<WorldBuild>
  readonly #serial: SerialFile
  readonly #protocol: LiveProtocol
  readonly #doors: Doors
  readonly #origins = new QueryOrigins()
  readonly #rates = new AnswerRates({
    counters: () => this.#counters,
    cells: this.#cells,
    origins: () => this.#origins.counts(),
  })
  readonly #wrongAnswers = new WrongAnswers({
    outages: () => this.#health.outages,
    counters: () => this.#counters,
    cells: this.#cells,
  })
  readonly #rendered: RenderedSamples = new Map()
  readonly #drills: Drills
  readonly #schedule: DrillSchedule
  readonly #census = new Census()
  readonly #board = new SharedBody(
    () => this.#boardNow(),
    () => this.#changesNow(),
  )
  readonly #changes = new Map<string, number>()
  /** When a changed reason of a member was last logged. */
  readonly #reasonsMs = new Map<string, number>()
  readonly #startedAtMs = Date.now()
  readonly #desk: AnnounceDesk
  readonly #notifier: Notifier
  readonly #notifications: Notifications | undefined
  #made: WorldBuild | undefined
  #server: Server | undefined
  #certificate: CertificateFiles | undefined
  #prober: ProberThread | undefined
  #announcer: Announcer | undefined
  #ticking: NodeJS.Timeout | undefined
  #servingSinceMs: number | undefined
  #stopping = false
  #wasReady = false

  readonly #plainLog: Log = (level, message, fields) => this.#log[level](fields ?? {}, message)

  private constructor({ config, log, takeover, lastRunCrash }: NodeOptions) {
    this.#config = config
    this.#log = log
    this.#takeover = takeover
    this.#store = makeStore(config, 'node', log, (trouble) => this.#events.storeTrouble(trouble))
    this.#events = new NodeEvents({
      config,
      log,
      store: this.#store,
      state: () => ({
        health: this.#health,
        server: this.#server?.stats(),
        certificates: [
          [config['tls.certificate'], this.#certificate],
          [config['http.certificate'], this.#doors.http.certificate],
        ],
        prober: this.#prober,
      }),
      lastRunCrash,
    })
    this.#doors = new Doors({ config, log, takeover, shown: this, onTaken: () => this.#succeed() })
    this.#desk = new AnnounceDesk({
      config,
      log: this.#plainLog,
      isReady: () => this.readiness().ready,
      zone: () => firstZone(this.#made?.world.image),
      onReport: (report, before) => this.#events.announce(report, before),
    })
    this.#serial = new SerialFile(join(config.state, 'serial.json'), (trouble) => log.warn(trouble))
    this.#protocol = new LiveProtocol(config, log, (protocol) => this.#server?.setProtocol(protocol))
    this.#notifier = new Notifier({ log: this.#plainLog, keys: () => this.#protocol.protocol.tsigKeys })
    this.#loads = new Reloader({
      compiler: startCompiler(
        {
          zones: config.zones,
          follows: LOCK_WAIT,
          city: config['geo.city'],
          asn: config['geo.asn'],
          cache: join(config.state, 'cache'),
          tidiesCache: true,
          ...(config['node.site'] === undefined ? {} : { nodeSite: config['node.site'] }),
          state: config.state,
          listens: familiesOf(config.listen),
          ...(config['geo.maxMove'] !== undefined && { maxMove: config['geo.maxMove'] }),
          ...(config['zones.maxMove'] !== undefined && { zonesMaxMove: config['zones.maxMove'] }),
          tsigKeys: Object.keys(config['tsig.keys']),
          maxForMs: config['overrides.maxFor'],
          ...(config['probe.enabled'] && { probe: probeSettings(config) }),
        },
        this.#adoption,
        { onWait: (news) => log.info(news), onSaved: (trouble) => this.#loads.setSaveTrouble(trouble) },
      ),
      zones: config.zones,
      databases: [...config['geo.city'], ...config['geo.asn']],
      take: (made) => this.#take(made),
      use: (made, load) => this.#publish(made, load),
      onLoad: (load, before) => this.#events.load(load, before),
      onRevision: (revision) => this.#health.revise(nameOf(revision) ?? undefined),
      serialFloor: () => this.#serial.floor,
      describeInUse: () => `generation ${this.#made?.world.generation ?? 0} goes on serving`,
      log,
    })
    this.#health = new NodeHealth({
      table: this.#table,
      store: this.#store,
      node: { name: config['node.name'], version: VERSION },
      file: join(config.state, 'health.json'),
      ...(config['overrides.maxFor'] !== undefined && { maxForMs: config['overrides.maxFor'] }),
      rates: () => this.#rates.rates(),
      onChange: (change) => this.#logChange(change),
      onReason: (change) => this.#logReason(change),
      onOverride: (change) => this.#events.override(change),
      onNews: (level, news, topic) => {
        log[level](news)
        this.#events.news(level, news, topic)
      },
      onTrouble: (trouble) => log.warn(trouble),
    })
    this.#drills = new Drills({
      file: join(config.state, 'drills.json'),
      node: config['node.name'],
      health: this.#health,
      rates: () => this.#rates.rates(),
      log: (level, fields, line) => log[level](fields, line),
      onChange: (report) => this.#events.drill(report),
      onTrouble: (trouble) => (trouble === undefined ? undefined : log.warn(trouble)),
    })
    this.#schedule = makeSchedule(config, this.#store, this.#health, {
      drills: this.#drills,
      plan: () => this.#made?.drills,
      isReady: () => this.readiness().ready,
      onUnheld: (unheld) => this.#events.unheld(unheld),
      log: (level, fields, line) => log[level](fields, line),
      onTrouble: (trouble) => (trouble === undefined ? undefined : log.warn(trouble)),
    })
    this.#notifications = makeNotifications(config, this.#store, this.#health, this.#plainLog)
    this.#events.events.subscribe((event) => this.#notifications?.add(event))
  }

  /** The predecessor lets go of an address: takes up what it has kept. */
  #succeed(): void {
    this.#health.readOverrides()
    this.#notifications?.start()
  }

  /** Starts a node; resolves when it serves. Throws StartError, with nothing left running. */
  static async start(options: NodeOptions): Promise<RunningNode> {
    await claimState(options.config, options.takeover)
    const node = new RunningNode(options)
    try {
      await node.#start()
      return node
    } catch (error) {
      await node.stop()
      throw error
    }
  }

  async #start(): Promise<void> {
    const config = this.#config
    if (!this.#takeover) await this.#doors.listenControl()
    await this.#doors.listenHttp()
    await this.#events.start()
    await this.#health.start()
    this.#drills.read()
    if (!this.#takeover) this.#notifications?.start()
    await this.#loads.watch()
    const made = await this.#loads.loadFirst('nothing to serve', this.#takeover)
    this.#certificate = this.#openCertificate()
    this.#server = await listenDns(config, this.#log, (listen) => this.#startServer(listen, made))
    if (this.#takeover) await this.#doors.listenControl() // the predecessor keeps it until this node serves
    await this.#certificate?.watch((credentials) => this.#server!.setCredentials(credentials))
    this.#made = made
    this.#servingSinceMs = Date.now()
    if (config['probe.enabled']) {
      this.#prober = makeProber(config, this.#store, this.#log)
      this.#prober.setTargets(made.plan.targets)
    }
    this.#tellKnowledge()
    this.#ticking = setInterval(() => {
      this.#releaseSlots()
      this.#tellKnowledge()
      this.#origins.take(this.#counters, this.#made?.context.places)
      this.#wrongAnswers.look()
    }, TICK_MS)
    this.#serial.serve(made.serial)
    this.#notifier.publish(made.world)
    const { view, serial, zoneCount, nameCount, world } = made
    const revision = nameOf(this.#loads.revision)
    const what = `serving ${count(zoneCount, 'zone')} on ${this.#addresses(this.#server)}${revision === null ? '' : `, at ${revision}`}`
    this.#log.info({ view, revision, serial, zones: zoneCount, names: nameCount, generation: world.generation }, what)
    this.#events.started(what, made, revision, this.#takeover)
    await this.#protocol.watch()
    this.#schedule.start()
    if (config['announce.form'] === 'http') {
      this.#announcer = makeAnnouncer(config, this.#store, this.#health, this.#desk, this.#plainLog)
      await this.#announcer.start()
    }
    this.#loads.startReloads()
  }

  /** Where it listens, in words. */
  #addresses({ listen, tls, https }: Server): string {
    const parts = [
      [listen, ''],
      [tls, ' (TLS)'],
      [https, ' (HTTPS)'],
    ] as const
    return parts.flatMap(([on, what]) => on.map((endpoint) => formatEndpoint(endpoint) + what)).join(', ')
  }

  #openCertificate(): CertificateFiles | undefined {
    const { 'tls.certificate': certificate, 'tls.key': key, 'tls.listen': tls, 'https.listen': https } = this.#config
    if (certificate === undefined || key === undefined || tls.length + https.length === 0) return undefined
    try {
      return new CertificateFiles(certificate, key, this.#plainLog)
    } catch (error) {
      throw new StartError(messageOf(error))
    }
  }

  #startServer(listen: Config['listen'], { world }: WorldBuild): Promise<Server> {
    return startServer({
      listen,
      threads: this.#config.threads,
      tls: this.#config['tls.listen'],
      https: this.#config['https.listen'],
      ...(this.#certificate !== undefined && { credentials: this.#certificate.credentials() }),
      tcpConnections: this.#config['tcp.connections'],
      tcpMemory: this.#config['tcp.memory'],
      world,
      protocol: this.#protocol.protocol,
      health: this.#table,
      adoption: this.#adoption,
      takeover: this.#takeover,
      portable: false,
      queryLog: queryLogSettings(this.#config),
      log: this.#plainLog,
    })
  }

  /**
   * Gives a new World its slots, counters and health before it is published. Returns a Problem if there are too few
   * slots.
   */
  #take(made: WorldBuild): Problem | undefined {
    const { world, plan } = made
    const names = plan.members.map((member) => member.name)
    const slots = this.#slots.assign(names, world.generation)
    if (slots === undefined) return this.#tooMany(made)
    for (const service of world.services) {
      service.members.forEach((member, vip) => (service.slot[vip] = this.#slots.slotOf(member)!))
      const named = [...service.siteNames, '']
      named.forEach((site, i) => (service.counter[i] = this.#cells.cellOf(service.name, site)))
    }
    this.#health.adopt(plan, slots, made.view, this.#wordsOf(world))
    return undefined
  }

  /** The counters of all answering threads. */
  get #counters(): readonly Float64Array[] {
    return this.#server?.counters() ?? []
  }

  /** Tells the answering threads what the health of members rests on, for clients that want to know (RFC 8914). */
  #tellKnowledge(): void {
    this.readiness() // decides #wasReady
    const knowledge = !this.#wasReady ? NOT_READY : this.#health.isStale ? STALE : FRESH
    Atomics.store(this.#table, KNOWLEDGE, knowledge)
  }

  #releaseSlots(): void {
    const generation = this.#server!.adopted()
    this.#slots.release(generation)
    this.#serviceSlots.release(generation)
  }

  /**
   * Gives each service its word in the health table. The key includes the members, because threads at an earlier World
   * may still read the word of a service whose members have changed.
   */
  #wordsOf({ services, generation }: World): ReadonlyMap<string, number> {
    const names = services.map(({ name, members }) => `${name} ${hash('sha1', members.join(' '))}`)
    const slots = this.#serviceSlots.assign(names, generation)
    const words = new Map<string, number>()
    for (const [i, service] of services.entries()) {
      if (slots === undefined) continue // too many services: queries read the members instead
      service.word = HEALTH_SLOTS + slots[i]!
      words.set(service.name, service.word)
    }
    return words
  }

  #tooMany({ plan }: WorldBuild): Problem {
    const message = `${plan.members.length} members; a node has room for ${HEALTH_SLOTS}, including removed ones until all threads have adopted the change`
    const hint = 'Put fewer VIPs into a service, or remove old members in a reload before this one'
    return { code: 'members-too-many', severity: 'error', file: this.#config.zones, line: 0, column: 0, message, hint }
  }

  #publish(made: WorldBuild, load: ReloadResult): void {
    const before = this.#made
    this.#server!.publish(made.world)
    this.#made = made
    this.#serial.serve(made.serial)
    this.#notifier.publish(made.world)
    this.#prober?.setTargets(made.plan.targets)
    const { why, ms, parsed } = load
    const moving = made.moves === null ? '' : `; ${movingInWords(made.moves)}`
    const revisions = { revisionBefore: nameOf(load.before), revision: nameOf(load.revision) }
    const what = `reloaded (${why}): generation ${made.world.generation}, ${made.zoneCount} zones, ${made.nameCount} names${loadForLog(load)}${moving}`
    this.#log.info(
      {
        why,
        before: before?.view,
        after: made.view,
        ...revisions,
        serial: made.serial,
        parsed,
        ms: Math.round(ms),
        moved: mostMoved(made.moves),
      },
      what,
    )
    this.#events.published(made, load, before)
  }

  #logChange(change: Change): void {
    this.#wrongAnswers.look()
    this.#events.verdict(change)
    this.#changes.set(change.after, (this.#changes.get(change.after) ?? 0) + 1)
    this.#reasonsMs.delete(change.member)
    const level = change.after === 'down' ? 'warn' : 'info'
    const { votes: _votes, wasBraked: _wasBraked, beforeAgeMs: _beforeAgeMs, ...fields } = change
    this.#log[level](fields, `${change.member} is ${change.after} (${change.before} before): ${change.why}`)
    this.#drills.look()
  }

  /**
   * Why a member is down may be what finds the fault: it is logged as it changes, at most once a minute for a member.
   */
  #logReason({ member, state, braked, whyBefore, why }: ReasonChange): void {
    const nowMs = performance.now()
    const isNews = (state === 'down' || braked) && nowMs - (this.#reasonsMs.get(member) ?? -Infinity) >= REASON_MS
    if (isNews) this.#reasonsMs.set(member, nowMs)
    this.#log[isNews ? 'info' : 'debug'](
      { member, state, braked, whyBefore, why },
      `${member} is still ${state}: ${why}`,
    )
  }

  /** Loads zones and databases again. `why`: the cause, for the log. */
  reload(why: string): void {
    this.#loads.reload(why)
    this.#doors.reload()
    this.#certificate?.read((credentials) => this.#server?.setCredentials(credentials))
  }

  /** Resolves when what was to be loaded is in use, or refused. */
  settled(): Promise<void> {
    return this.#loads.settled()
  }

  /** A number of each answering thread that changes while it works; 0 before its first beat. */
  beats(): readonly number[] {
    return this.#server?.beats() ?? []
  }

  readiness(): Readiness {
    const reasons: string[] = []
    if (this.#stopping) reasons.push('stopping')
    else if (this.#servingSinceMs === undefined) reasons.push('no zones are loaded yet')
    else if (!this.#wasReady) {
      this.#wasReady = this.#health.decided || Date.now() - this.#servingSinceMs >= READY_AT_LAST_MS
      if (!this.#wasReady) reasons.push('there is no saved health, and some services have no verdict yet')
    }
    return { ready: reasons.length === 0, reasons, warnings: this.#loads.warnings }
  }

  async metrics(): Promise<string> {
    return renderMetrics(samplesOf({ ...(await this.#state()), health: this.#health.snapshot() }), this.#rendered)
  }

  status(): Promise<Status>
  status(filter?: StatusFilter): Promise<Status | string>
  async status(filter?: StatusFilter): Promise<Status | string> {
    if (filter === undefined) return statusOf({ ...(await this.#state()), health: this.#health.snapshot() })
    const fault = filterFault(filter, this.#health.overview())
    if (fault !== undefined) return fault
    return statusOf({ ...(await this.#state()), health: this.#health.snapshot(wantedBy(filter)) }, true)
  }

  async summary(): Promise<Summary> {
    return this.#summaryOf(this.#health.overview())
  }

  #summaryOf(health: HealthOverview): Summary {
    const state = { ...this.#stateNow(), health, prober: this.#prober }
    const changes = recentChanges(this.#events.events.recent({ limit: MOST_RECENT }).events)
    return summaryOf(state, changes)
  }

  events(query: EventQuery): EventPage {
    return this.#events.events.recent(query)
  }

  eventFeed(afterId?: string): EventFeed {
    return this.#events.events.feed(afterId)
  }

  board(known: string | undefined, waits: boolean): Promise<MadeBody> {
    return this.#board.get(known, waits)
  }

  #boardNow(): Board {
    const health = this.#health.overview()
    return boardOf({
      summary: this.#summaryOf(health),
      health,
      votes: this.#health.votes(),
      services: this.#made?.world.services ?? [],
      sites: this.#made?.context.sites ?? new Map(),
      rates: this.#rates.rates(),
      before: (cell) => this.#rates.before(cell),
      events: this.#events.events.clock,
    })
  }

  /** A text that differs when something that the board shows has changed, other than times and rates. */
  #changesNow(): string {
    const { ok, failed, unchanged } = this.#loads
    const generation = this.#made?.world.generation ?? 0
    const events = this.#events.events.clock
    return [this.#health.changes, events, generation, ok, failed, unchanged, this.#store.trouble, this.#wasReady].join(
      ' ',
    )
  }

  explain(question: Question): ExplainResponse | string | undefined {
    if (this.#made === undefined) return undefined
    const { world, context, view } = this.#made
    const explanation = explain(world, this.#table, context, question, (service) => this.#health.service(service))
    if (typeof explanation === 'string') return explanation
    return {
      source: { kind: 'node', node: this.#config['node.name'], generation: world.generation, view },
      freeze: this.#health.controls.status,
      ...explanation,
    }
  }

  members(filter: StatusFilter): readonly MemberStanding[] | string {
    const overview = this.#health.overview()
    return filterFault(filter, overview) ?? overview.members.filter(wantedBy(filter))
  }

  overrides(): readonly OverrideStatus[] {
    return this.#health.overview().overrides
  }

  async world(service: string | undefined, clients: 'ipv4' | 'ipv6'): Promise<WorldView | string | undefined> {
    const made = this.#made
    if (made === undefined) return undefined
    const { world, context } = made
    return viewOfWorld(world, context.places, this.#table, this.#census, service, clients, () => this.#made === made)
  }

  outlook(patterns: readonly string[], to: number): Outlook | string {
    return this.#health.outlook(patterns, to)
  }

  override(body: OverrideBody): Promise<OverrideResult | Refusal> {
    return applyOverride(this.#health, body, this.#logOverride)
  }

  overrideAll(bodies: readonly OverrideBody[]): Promise<OverridesResult | Refusal> {
    return applyOverrides(this.#health, bodies, this.#logOverride)
  }

  readonly #logOverride = (fields: object, line: string): void => this.#log.info(fields, line)

  freeze(body: FreezeBody): Promise<FreezeResult | Refusal> {
    return applyFreeze(this.#health, body, this.#logOverride)
  }

  return(body: ReturnBody): Promise<ReturnResult | Refusal> {
    return applyReturn(this.#health, body, this.#logOverride)
  }

  async drill({ abortIf, ...body }: DrillBody): Promise<object | Refusal> {
    const rules = abortIf.map(readAbortRule)
    const wrong = rules.indexOf(undefined)
    const hint = 'abortIf takes left<60%, last-resort and the names of services'
    if (wrong >= 0) return { refused: `“${abortIf[wrong]}” is no rule to end a drill by`, hint }
    const begun = this.#drills.begin({ ...body, abortIf: rules.filter((rule) => rule !== undefined) })
    if ('refused' in begun) return begun
    const saved = await begun.saved
    return { drill: begun.report, notKept: notStoredIn(saved), reached: saved.reached, unreached: saved.unreached }
  }

  drills(): readonly DrillReport[] {
    return this.#drills.reports
  }

  announce(report: AnnounceReport): NodeWord {
    return this.#desk.take(report)
  }

  announcement(): Announcement {
    return this.#desk.announcement
  }

  async forget({ kind, name, who }: ForgetBody): Promise<ForgetResult | Refusal> {
    const forgotten = this.#health.forget({ kind, name })
    if (typeof forgotten === 'string') return { refused: forgotten }
    const { reached, unreached, ...saved } = await forgotten.saved
    const notKept = notStoredIn(saved)
    this.#log.info(
      { forgotten: { kind, name }, who, notKept, unreached },
      `${kind} ${name} was removed by ${who}: gone for good`,
    )
    return { forgotten: name, notKept, reached, unreached }
  }

  async acceptGeo(body: AcceptBody): Promise<{ readonly accepted: DatabaseHold } | Refusal> {
    const waiting = this.#made?.held ?? null
    if (waiting === null) return { refused: 'no database waits to be accepted' }
    return this.#accept(body, 'databases', waiting, acceptBuild)
  }

  async acceptZones(body: AcceptBody): Promise<{ readonly accepted: ZonesHeld } | Refusal> {
    const waiting = this.#loads.last?.zonesHeld
    if (waiting === undefined) return { refused: 'no zones wait to be accepted' }
    return this.#accept(body, 'zones', waiting, acceptZones)
  }

  #accept<T extends { readonly build: string }>(
    { who, build }: AcceptBody,
    what: 'zones' | 'databases',
    waiting: T,
    write: (state: string, build: string) => void,
  ): { readonly accepted: T } | Refusal {
    if (build !== undefined && build !== waiting.build) {
      return { refused: `a different build is waiting by now: ${waiting.build}` }
    }
    try {
      write(this.#config.state, waiting.build)
    } catch (error) {
      return { refused: `the acceptance can’t be written to ${this.#config.state}: ${String(error)}` }
    }
    const fields: object = { who, ...waiting }
    this.#log.info(fields, `the ${what} that were held back were accepted by ${who}`)
    this.#events.accepted(what, who, waiting.build)
    this.reload(`${what} accepted`)
    return { accepted: waiting }
  }

  async #state(): Promise<Omit<NodeState, 'health'>> {
    // first, because it waits: all else is of one moment
    const probing = this.#prober && { report: await this.#prober.report(), thread: this.#prober }
    return { ...this.#stateNow(), probing }
  }

  #stateNow(): Omit<NodeState, 'health' | 'probing'> {
    const server = this.#server?.stats()
    return {
      config: this.#config,
      startedAtMs: this.#startedAtMs,
      readiness: this.readiness(),
      made: this.#made,
      loads: this.#loads,
      changes: this.#changes,
      troubles: [
        ...this.#serial.troubles,
        ...this.#protocol.troubles,
        ...this.#doors.troubles,
        ...this.#loads.troubles,
        ...this.#events.troubles,
        ...(this.#notifications?.troubles ?? []),
        ...(this.#certificate?.trouble === undefined ? [] : [this.#certificate.trouble]),
        ...(server?.queryLog ?? []).flatMap(({ trouble }) => trouble ?? []),
        ...(server?.limited ? [limitedInWords(server.limited)] : []),
      ],
      counters: this.#counters,
      server,
      certificate: this.#certificate,
      cells: this.#cells,
      outages: this.#wrongAnswers.last(),
      origins: () => this.#origins.counts(MOST_SYSTEMS),
      rates: () => this.#rates.rates(),
      notifies: this.#notifier.stats,
      notifications: this.#notifications?.stats ?? [],
      receiveDrops: droppedDatagrams(),
      http: this.#doors.http,
      announce: this.#desk.status,
    }
  }

  /**
   * Ends in order: turns `/ready` off, has its addresses withdrawn and waits `announce.wait`, unless a successor has taken
   * over; then answers the queries in its sockets, closes the ports, saves health.
   */
  async stop(): Promise<void> {
    this.#stopping = true
    if (this.#server !== undefined && !this.#doors.isSucceeded) await this.#desk.leave()
    await this.#announcer?.stop()
    this.#events.stopping()
    clearInterval(this.#ticking)
    this.#rates.stop()
    await this.#certificate?.stop()
    await this.#loads.stopReloads()
    await this.#protocol.stop()
    this.#notifier.stop()
    await this.#server?.stop(DRAIN_MS)
    await this.#prober?.stop()
    await this.#schedule.stop()
    await this.#drills.stop()
    await this.#notifications?.stop()
    await this.#health.stop()
    await this.#serial.stop()
    await this.#events.stop()
    await this.#store.close()
    await this.#loads.stop()
    await this.#doors.stop()
  }
}
