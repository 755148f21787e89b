/** What a process that only probes shows: its targets, each with its last run and vote, as JSON and as /metrics. */
import { nameOf } from '../git.ts'
import type { HealthSnapshot } from '../health/node-health.ts'
import type { TargetReport } from '../probe/thread.ts'
import { renderMetrics } from './metrics.ts'
import { type Probing, probingSamples, type ProbingStatus, probingStatus } from './probing.ts'
import { processSamples, storeSamples } from './samples.ts'
import {
  loadStatus,
  type LoadStatus,
  processStatus,
  type ProcessStatus,
  type NodeState,
  storeStatus,
  type StoreStatus,
} from './status.ts'

export interface ProberState extends Pick<NodeState, 'config' | 'startedAtMs' | 'readiness' | 'loads' | 'troubles'> {
  readonly plan: { readonly hash: string; readonly zones: number } | undefined
  readonly store: HealthSnapshot['store']
  readonly probing: Probing | undefined
}

/** What `meridian status` shows of a prober. */
export interface ProberStatusView {
  readonly role: 'probe'
  readonly node: ProcessStatus
  /** With the revision that git tells of the zones; null outside of git. */
  readonly plan: { readonly hash: string; readonly zones: number; readonly revision: string | null } | null
  readonly load: LoadStatus | null
  readonly store: StoreStatus
  readonly probing: ProbingStatus | null
  /** Operational trouble as it is now. */
  readonly troubles: readonly string[]
  readonly targets: readonly TargetReport[]
}

export const proberStatusOf = (served: ProberState): ProberStatusView => ({
  role: 'probe',
  node: processStatus(served.config, served),
  plan: served.plan === undefined ? null : { ...served.plan, revision: nameOf(served.loads.revision) },
  load: loadStatus(served.loads.last),
  store: storeStatus(served.store),
  probing: served.probing === undefined ? null : probingStatus(served.probing),
  troubles: served.troubles,
  targets: served.probing?.report.targets ?? [],
})

export const renderProberMetrics = (served: ProberState): Promise<string> =>
  renderMetrics({
    ...processSamples(served),
    ...storeSamples(served.store),
    meridian_state_troubles: [[served.troubles.length]],
    ...(served.probing === undefined ? {} : probingSamples(served.probing)),
    meridian_zones: [[served.plan?.zones ?? 0]],
  })
