/**
 * A running prober: probes the targets that the zones name, and sends its votes to Redis. It answers no queries and
 * reads no databases. Started by run.ts.
 *
 *   Reloader: compile thread ─▶ targets ─▶ prober threads ═▶ Store ═▶ nodes
 *   Doors: control socket, http.listen ◀── readiness, status, metrics
 */
import type { Logger } from 'pino'
import type { Readiness, ProcessView, StatusFilter } from '../api/contract.ts'
import { proberStatusOf, type ProberStatusView, renderProberMetrics, type ProberState } from '../api/prober-status.ts'
import type { Config } from '../config.ts'
import { nameOf } from '../git.ts'
import type { Store } from '../health/store.ts'
import type { ProberThread } from '../probe/thread.ts'
import { count } from '../units.ts'
import type { ProbeTargets } from '../world/build.ts'
import { startTargetCompiler } from '../world/compiler.ts'
import { LOCK_WAIT } from '../world/folder.ts'
import { loadForLog, Reloader } from '../world/reloads.ts'
import { claimState, Doors } from './doors.ts'
import { makeProber, makeStore, probeSettings } from './wiring.ts'

/** What a prober is started with. */
export interface ProberOptions {
  readonly config: Config
  readonly log: Logger
}

/** A process that only probes: start() to stop(). */
export class RunningProber implements ProcessView {
  readonly #config: Config
  readonly #log: Logger
  readonly #store: Store
  readonly #loads: Reloader<ProbeTargets>
  readonly #doors: Doors
  readonly #startedAtMs = Date.now()
  #targets: ProbeTargets | undefined
  #prober: ProberThread | undefined
  #stopping = false

  private constructor({ config, log }: ProberOptions) {
    this.#config = config
    this.#log = log
    this.#store = makeStore(config, 'prober', log)
    this.#doors = new Doors({ config, log, takeover: false, shown: this })
    this.#loads = new Reloader({
      compiler: startTargetCompiler(
        { zones: config.zones, follows: LOCK_WAIT, state: config.state, probe: probeSettings(config) },
        { onWait: (news) => log.info(news), onSaved: (trouble) => this.#loads.setSaveTrouble(trouble) },
      ),
      zones: config.zones,
      databases: [],
      use: (targets, load) => {
        this.#use(targets)
        const { plan } = targets
        log.info(
          { why: load.why, plan: plan.hash, revision: nameOf(load.revision) },
          `reloaded (${load.why}): ${count(plan.targets.length, 'target')}${loadForLog(load)}`,
        )
      },
      describeInUse: () =>
        `probing goes on with the ${count(this.#targets?.plan.targets.length ?? 0, 'target')} loaded before`,
      log,
    })
  }

  /** Starts a prober; resolves when it probes. Throws StartError, with nothing left running. */
  static async start(options: ProberOptions): Promise<RunningProber> {
    await claimState(options.config, false)
    const prober = new RunningProber(options)
    try {
      await prober.#start()
      return prober
    } catch (error) {
      await prober.stop()
      throw error
    }
  }

  async #start(): Promise<void> {
    const config = this.#config
    await this.#doors.listenControl()
    await this.#doors.listenHttp()
    await this.#loads.watch()
    const targets = await this.#loads.loadFirst('nothing to probe')
    this.#prober = makeProber(config, this.#store, this.#log)
    this.#use(targets)
    const { plan, zoneCount } = targets
    const name = config['node.name']
    this.#log.info(
      {
        plan: plan.hash,
        revision: nameOf(this.#loads.revision),
        zones: zoneCount,
        targets: plan.targets.length,
        region: config['probe.region'],
      },
      `prober ${name} in ${config['probe.region']}: ${count(plan.targets.length, 'target')} of ${count(zoneCount, 'zone')}`,
    )
    this.#loads.startReloads()
  }

  #use(targets: ProbeTargets): void {
    this.#targets = targets
    this.#prober!.setTargets(targets.plan.targets)
  }

  /** Loads the zones again. `why`: the cause, for the log. */
  reload(why: string): void {
    this.#loads.reload(why)
    this.#doors.reload()
  }

  /** Resolves when what was to be loaded is in use, or refused. */
  settled(): Promise<void> {
    return this.#loads.settled()
  }

  /** It answers no queries, and replaces threads that stand still itself. */
  beats(): readonly number[] {
    return []
  }

  readiness(): Readiness {
    const reasons = this.#stopping ? ['stopping'] : this.#targets === undefined ? ['no zones are loaded yet'] : []
    return { ready: reasons.length === 0, reasons, warnings: this.#loads.warnings }
  }

  async metrics(): Promise<string> {
    return renderProberMetrics(await this.#state())
  }

  async status(filter?: StatusFilter): Promise<ProberStatusView | string> {
    return filter === undefined
      ? this.summary()
      : 'this process is a prober: it knows targets, and no services or sites'
  }

  async summary(): Promise<ProberStatusView> {
    return proberStatusOf(await this.#state())
  }

  async #state(): Promise<ProberState> {
    const targets = this.#targets
    const { shared, trouble, refusals } = this.#store
    return {
      config: this.#config,
      startedAtMs: this.#startedAtMs,
      readiness: this.readiness(),
      loads: this.#loads,
      plan: targets && { hash: targets.plan.hash, zones: targets.zoneCount },
      store: { shared, trouble, refused: refusals.counts },
      troubles: [...this.#doors.troubles, ...this.#loads.troubles],
      http: this.#doors.http,
      probing: this.#prober && { report: await this.#prober.report(), thread: this.#prober },
    }
  }

  /** Ends the checks, the connection to Redis and the listeners. */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#loads.stopReloads()
    await this.#prober?.stop()
    await this.#store.close()
    await this.#loads.stop()
    await this.#doors.stop()
  }
}
