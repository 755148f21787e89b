/**
 * What a process that only probes shows of itself: its targets, each with its last run and vote, at /api/status, and
 * its /metrics. Called by RunningProber.
 */
import { nameOf } from '../git.ts'
import type { HealthSnapshot } from '../health/node-health.ts'
import type { TargetReport } from '../probe/thread.ts'
import { renderMetrics } from './metrics.ts'
import {
  certificateTroubles,
  type OwnProber,
  ownProberSamples,
  type OwnProberStatus,
  ownProberStatus,
} from './probing.ts'
import { certificateSamples, processSamples, refusedSamples, storeSamples } from './samples.ts'
import {
  loadStatus,
  type LoadStatus,
  processStatus,
  type ProcessStatus,
  type NodeState,
  storeStatus,
  type StoreStatus,
} from './status.ts'

/** The state of a prober process, from which its status and metrics are made. */
export interface ProberState extends Pick<
  NodeState,
  'config' | 'startedAtMs' | 'readiness' | 'loads' | 'troubles' | 'http'
> {
  readonly plan: { readonly hash: string; readonly zones: number } | undefined
  readonly store: HealthSnapshot['store']
  readonly probing: OwnProber | undefined
}

/** The body of GET /api/status of a prober. Plain JSON. */
export interface ProberStatusView {
  readonly role: 'probe'
  readonly node: ProcessStatus
  /** The target list in use; `revision` is null outside of git. null: none is loaded yet. */
  readonly plan: { readonly hash: string; readonly zones: number; readonly revision: string | null } | null
  readonly load: LoadStatus | null
  readonly store: StoreStatus
  readonly probing: OwnProberStatus | null
  /** Operational trouble as it is now. */
  readonly troubles: readonly string[]
  readonly targets: readonly TargetReport[]
}

/** The status of a prober. */
export const proberStatusOf = (state: ProberState): ProberStatusView => ({
  role: 'probe',
  node: processStatus(state.config, state),
  plan: state.plan === undefined ? null : { ...state.plan, revision: nameOf(state.loads.revision) },
  load: loadStatus(state.loads.last),
  store: storeStatus(state.store),
  probing: state.probing === undefined ? null : ownProberStatus(state.probing),
  troubles: [...state.troubles, ...certificateTroubles(state.probing?.report.targets ?? [])],
  targets: state.probing?.report.targets ?? [],
})

/** The metrics of a prober, as Prometheus text. */
export const renderProberMetrics = (state: ProberState): Promise<string> =>
  renderMetrics({
    ...processSamples(state),
    ...refusedSamples(state.http),
    ...certificateSamples({ 'http.certificate': state.http.certificate }),
    ...storeSamples(state.store),
    meridian_state_troubles: [[state.troubles.length]],
    ...(state.probing === undefined ? {} : ownProberSamples(state.probing)),
    meridian_zones: [[state.plan?.zones ?? 0]],
  })
