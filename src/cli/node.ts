/**
 * A running node, put together: here every part meets the others, and nothing is decided that a part decides.
 *
 *   watcher, SIGHUP ─▶ reload() ─▶ compile thread ─▶ World, plan ─▶ slots ─▶ NodeHealth.adopt ─▶ Server.publish ─▶ prober
 *   prober thread ═══▶ MemoryStore ═══▶ NodeHealth ═══▶ HealthTable ═══▶ answering threads
 *   control socket, http.listen ◀── readiness, status, metrics, explain
 *
 * A load is all or nothing: with one error among its problems the World that is served stays, and log, status and metrics
 * say so. Used by `serve` and by `demo`.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Made } from '../answer/build.ts'
import { explain } from '../answer/explain.ts'
import { type Config, formatEndpoint } from '../config.ts'
import { MemoryStore } from '../health/memory.ts'
import { NodeHealth } from '../health/node.ts'
import { HEALTH_SLOTS, makeHealthTable, SlotRegistry } from '../health/table.ts'
import { makeApp, type Node, type Question, type Readiness } from '../http/app.ts'
import { type HttpServer, isAnswered, listenSocket, listenTcp } from '../http/listen.ts'
import { renderMetrics } from '../http/metrics.ts'
import { AnswerCells } from '../metrics.ts'
import { type ProberThread, startProber } from '../probe/thread.ts'
import { formatProblem, type Problem } from '../problem.ts'
import { type Compiler, startCompiler } from '../server/compile.ts'
import { droppedDatagrams } from '../server/drops.ts'
import { ListenError, type Log } from '../server/front.ts'
import { makeAdoption } from '../server/pool.ts'
import { type Server, startServer } from '../server/serve.ts'
import { type Watcher, watchPaths } from '../server/watch.ts'
import { samplesOf, type Served, statusOf } from './view.ts'

export interface NodeOptions {
  readonly config: Config
  /** Start beside a node that serves the same addresses, to take over from it. */
  readonly takeover: boolean
  readonly log: Logger
}

/** Why a node can't start: told as it is, without a stack. */
export class StartError extends Error {
  readonly problems: readonly Problem[]
  constructor(message: string, problems: readonly Problem[] = []) {
    super(message)
    this.name = 'StartError'
    this.problems = problems
  }
}

export const controlSocketOf = (config: Config): string => join(config.state, 'control.sock')

/** Without saved health, and with members that no prober has decided, a node is ready all the same after this. */
const READY_AT_LAST_MS = 30_000
const DRAIN_MS = 5_000
const RETRY_HTTP_MS = 200
const RELEASE_SLOTS_MS = 250

export class RunningNode implements Node {
  readonly #config: Config
  readonly #log: Logger
  readonly #takeover: boolean
  readonly #table = makeHealthTable()
  readonly #slots = new SlotRegistry()
  readonly #cells = new AnswerCells()
  readonly #store = new MemoryStore()
  readonly #adoption = makeAdoption()
  readonly #health: NodeHealth
  readonly #compiler: Compiler
  readonly #stopping = new AbortController()
  readonly #https: HttpServer[] = []
  readonly #loads = { ok: 0, failed: 0, changes: new Map<string, number>() }
  readonly #startedAtMs = Date.now()
  #lastLoad: Served['lastLoad']
  #made: Made | undefined
  #server: Server | undefined
  #prober: ProberThread | undefined
  #watcher: Watcher | undefined
  #loading: Promise<void> | undefined
  #again: string | undefined
  #releasing: NodeJS.Timeout | undefined
  #servingSinceMs: number | undefined
  #wasReady = false

  private constructor({ config, log, takeover }: NodeOptions) {
    this.#config = config
    this.#log = log
    this.#takeover = takeover
    this.#compiler = startCompiler(
      {
        zones: config.zones,
        city: config['geo.city'],
        cache: join(config.state, 'cache'),
        tidiesCache: true,
        ...(config['node.site'] === undefined ? {} : { nodeSite: config['node.site'] }),
      },
      this.#adoption,
    )
    this.#health = new NodeHealth({
      table: this.#table,
      store: this.#store,
      file: join(config.state, 'health.json'),
      onChange: (change) => {
        this.#loads.changes.set(change.after, (this.#loads.changes.get(change.after) ?? 0) + 1)
        const level = change.after === 'down' ? 'warn' : 'info'
        log[level](change, `${change.member} is ${change.after} (${change.before} before): ${change.why}`)
      },
      onTrouble: (trouble) => log.warn(trouble),
    })
  }

  /** Throws StartError, with nothing left running. */
  static async start(options: NodeOptions): Promise<RunningNode> {
    const { config, takeover } = options
    try {
      mkdirSync(config.state, { recursive: true })
    } catch (error) {
      throw new StartError(`${config.state}: the state folder can't be made: ${String(error)}`)
    }
    const socket = controlSocketOf(config)
    if (!takeover && (await isAnswered(socket))) {
      throw new StartError(`a node already runs on ${socket}; stop it, or start with --takeover to take over from it`)
    }
    const node = new RunningNode(options)
    try {
      await node.#start(socket)
      return node
    } catch (error) {
      await node.stop()
      throw error
    }
  }

  async #start(socket: string): Promise<void> {
    const config = this.#config
    if (!this.#takeover) await this.#listenControl(socket)
    await this.#listenHttp()
    await this.#health.start()
    this.#watcher = await watchPaths(
      [config.zones, ...config['geo.city']],
      () => this.reload('files changed'),
      (why) => this.#log.warn({ why }, 'files cannot be watched (inotify limits?): looking at them every 2 s instead'),
    )
    const made = await this.#load('start')
    if (made === undefined) throw new StartError('nothing to serve', this.#lastLoad?.problems)
    this.#server = await this.#listenDns(made)
    if (this.#takeover) await this.#listenControl(socket) // not before it serves: until then it is the predecessor's
    this.#made = made
    this.#servingSinceMs = Date.now()
    if (config['probe.enabled']) {
      const onTrouble = (trouble: string): void => this.#log.warn(trouble)
      this.#prober = startProber({
        name: config['node.name'],
        region: config['probe.region'],
        canaries: config['probe.canaries'],
        store: this.#store,
        onTrouble,
      })
      this.#prober.setTargets(made.plan.targets)
    }
    this.#releasing = setInterval(() => this.#slots.release(this.#server!.adopted()), RELEASE_SLOTS_MS)
    const { view, zoneCount, nameCount, world } = made
    this.#log.info(
      { view, zones: zoneCount, names: nameCount, generation: world.generation, pid: process.pid },
      `serving ${zoneCount} zones on ${this.#server.listen.map(formatEndpoint).join(', ')}`,
    )
    this.#reloadAgain()
  }

  async #listenControl(socket: string): Promise<void> {
    try {
      this.#https.push(await listenSocket(makeApp(this, 'open'), socket))
    } catch (error) {
      throw new StartError(`${socket}: the control socket can't be made: ${String(error)}`)
    }
  }

  async #listenDns(made: Made): Promise<Server> {
    const log: Log = (level, message, fields) => this.#log[level](fields ?? {}, message)
    try {
      return await startServer({
        listen: this.#config.listen,
        threads: this.#config.threads,
        world: made.world,
        health: this.#table,
        adoption: this.#adoption,
        takeover: this.#takeover,
        portable: false,
        log,
      })
    } catch (error) {
      throw error instanceof ListenError ? new StartError(error.message) : error
    }
  }

  /** Beside a predecessor the port is still its own: then this goes on trying until the predecessor has left. */
  async #listenHttp(): Promise<void> {
    const endpoint = this.#config['http.listen']
    const token = this.#config['http.token']
    const app = makeApp(this, token === undefined ? 'closed' : { token })
    try {
      this.#https.push(await listenTcp(app, endpoint.address, endpoint.port))
    } catch (error) {
      if (!isSystemError(error)) throw error
      if (!this.#takeover || error.code !== 'EADDRINUSE') {
        throw new StartError(`${formatEndpoint(endpoint)} (HTTP): ${HTTP_REASONS[error.code] ?? error.code}`)
      }
      setTimeout(() => {
        if (!this.#stopping.signal.aborted) this.#listenHttp().catch((later: unknown) => this.#log.error(String(later)))
      }, RETRY_HTTP_MS)
    }
  }

  /** What is on disk now, ready to be published; undefined when it has errors. Every problem is logged. */
  async #load(why: string): Promise<Made | undefined> {
    const started = performance.now()
    const { made: built, problems: found, stagesMs } = await this.#compiler.build()
    const made = built !== undefined && this.#admit(built) ? built : undefined
    const problems = made === undefined && built !== undefined ? [...found, this.#tooMany(built)] : found
    this.#loads[made === undefined ? 'failed' : 'ok']++
    this.#lastLoad = {
      ok: made !== undefined,
      why,
      problems,
      stagesMs,
      ms: performance.now() - started,
      atMs: Date.now(),
      successAtMs: made === undefined ? this.#lastLoad?.successAtMs : Date.now(),
    }
    if (made === undefined && this.#made === undefined) return undefined // the start fails: StartError tells them
    for (const problem of problems) {
      const level = problem.severity === 'error' ? 'error' : problem.severity === 'warning' ? 'warn' : 'info'
      this.#log[level](problem, formatProblem(problem))
    }
    return made
  }

  /** Slots, counters and health of a World that is about to be published; false, and nothing changed: no room for it. */
  #admit({ world, plan }: Made): boolean {
    const names = plan.members.map((member) => member.name)
    const slots = this.#slots.assign(names, world.generation)
    if (slots === undefined) return false
    for (const service of world.services) {
      service.members.forEach((member, vip) => (service.slot[vip] = this.#slots.slotOf(member)!))
      service.siteNames.forEach((site, i) => (service.counter[i] = this.#cells.cellOf(service.name, site)))
    }
    this.#health.adopt(plan, slots)
    return true
  }

  #tooMany({ plan }: Made): Problem {
    const message = `${plan.members.length} members; ${HEALTH_SLOTS} have room, those that leave included until all threads know`
    const hint = 'Put fewer VIPs into a service, or remove old members in a reload before this one'
    return { code: 'members-too-many', severity: 'error', file: this.#config.zones, line: 0, column: 0, message, hint }
  }

  /** Loads again what is on disk. Calls while one runs are one more load after it, however many there are. */
  reload(why: string): void {
    if (this.#stopping.signal.aborted) return
    if (this.#loading !== undefined || this.#made === undefined) {
      this.#again = why
      return
    }
    this.#loading = this.#reload(why)
      .catch((error: unknown) => this.#log.error({ error }, `reload failed, the old World goes on: ${String(error)}`))
      .finally(() => {
        this.#loading = undefined
        this.#reloadAgain()
      })
  }

  #reloadAgain(): void {
    const again = this.#again
    this.#again = undefined
    if (again !== undefined) this.reload(again)
  }

  async #reload(why: string): Promise<void> {
    const made = await this.#load(why)
    if (this.#stopping.signal.aborted) return
    const before = this.#made!
    if (made === undefined) {
      const errors = this.#lastLoad!.problems.filter((problem) => problem.severity === 'error').length
      this.#log.error(
        { why, errors, generation: before.world.generation },
        `reload refused for ${errors} errors (${why}): generation ${before.world.generation} goes on serving`,
      )
      return
    }
    this.#server!.publish(made.world)
    this.#made = made
    this.#prober?.setTargets(made.plan.targets)
    this.#log.info(
      { why, before: before.view, after: made.view, ms: Math.round(this.#lastLoad!.ms), zones: made.zoneCount },
      `reloaded (${why}): generation ${made.world.generation}, ${made.zoneCount} zones, ${made.nameCount} names`,
    )
  }

  readiness(): Readiness {
    const reasons: string[] = []
    if (this.#stopping.signal.aborted) reasons.push('stopping')
    else if (this.#servingSinceMs === undefined) reasons.push('no World is loaded yet')
    else if (!this.#wasReady) {
      this.#wasReady = this.#health.decided || Date.now() - this.#servingSinceMs >= READY_AT_LAST_MS
      if (!this.#wasReady) reasons.push('no saved health, and not every service has a verdict yet')
    }
    return { ready: reasons.length === 0, reasons }
  }

  metrics(): Promise<string> {
    return renderMetrics(samplesOf(this.#served()))
  }

  status(): object {
    return statusOf(this.#served())
  }

  explain(question: Question): object | string {
    if (this.#made === undefined) return 'no World is loaded yet'
    return explain(this.#made.world, this.#table, this.#made.context, question)
  }

  #served(): Served {
    return {
      config: this.#config,
      startedAtMs: this.#startedAtMs,
      readiness: this.readiness(),
      made: this.#made,
      loads: this.#loads,
      lastLoad: this.#lastLoad,
      health: this.#health.snapshot(),
      counters: this.#server?.counters() ?? [],
      server: this.#server?.stats(),
      cells: this.#cells,
      receiveDrops: droppedDatagrams(),
      proberRestarts: this.#prober?.restarts ?? 0,
    }
  }

  /** Lame duck: not ready any more, leaves the ports without losing a query, saves health, ends. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    clearInterval(this.#releasing)
    await this.#watcher?.stop()
    await this.#server?.stop(DRAIN_MS)
    await this.#prober?.stop()
    await this.#health.stop()
    await this.#store.close()
    await this.#loading
    await this.#compiler.stop()
    await Promise.all(this.#https.map((http) => http.stop()))
  }
}

const HTTP_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is in use: stop what listens there, or choose another http.listen',
  EADDRNOTAVAIL: 'this machine does not have the address',
  EACCES: 'no permission to listen there',
}

const isSystemError = (error: unknown): error is Error & { readonly code: string } =>
  error instanceof Error && 'code' in error && typeof error.code === 'string'
