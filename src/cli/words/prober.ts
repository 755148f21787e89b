/** What a process that only probes shows: its targets with their last run and vote; as JSON, in words, as samples. */
import type { HealthSnapshot } from '../../health/node-health.ts'
import type { TargetReport } from '../../probe/thread.ts'
import { renderMetrics } from '../../api/metrics.ts'
import { nameOf } from '../../world/reloads.ts'
import { ago, count, table, wrap } from '../output.ts'
import { type Probing, probingInWords, probingSamples, type ProbingStatus, probingStatus } from './probing.ts'
import { loadInWords, processInWords, storeInWords } from './process.ts'
import { processSamples, storeSamples } from '../../api/samples.ts'
import { checkInWords } from './services.ts'
import {
  loadStatus,
  type LoadStatus,
  processStatus,
  type ProcessStatus,
  type Served,
  storeStatus,
  type StoreStatus,
} from '../../api/status.ts'

export interface ServedProber extends Pick<Served, 'config' | 'startedAtMs' | 'readiness' | 'loads' | 'troubles'> {
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

export const proberStatusOf = (served: ServedProber): ProberStatusView => ({
  role: 'probe',
  node: processStatus(served.config, served),
  plan: served.plan === undefined ? null : { ...served.plan, revision: nameOf(served.loads.revision) },
  load: loadStatus(served.loads.last),
  store: storeStatus(served.store),
  probing: served.probing === undefined ? null : probingStatus(served.probing),
  troubles: served.troubles,
  targets: served.probing?.report.targets ?? [],
})

export const renderProberMetrics = (served: ServedProber): Promise<string> =>
  renderMetrics({
    ...processSamples(served),
    ...storeSamples(served.store),
    meridian_state_troubles: [[served.troubles.length]],
    ...(served.probing === undefined ? {} : probingSamples(served.probing)),
    meridian_zones: [[served.plan?.zones ?? 0]],
  })

export function proberInWords({ node, plan, load, store, probing, troubles, targets }: ProberStatusView): string {
  return [
    ...processInWords(node),
    ...(plan === null
      ? []
      : [`plan ${plan.hash}  ${count(plan.zones, 'zone')}  revision ${plan.revision ?? 'unknown to git'}`]),
    ...loadInWords(load),
    storeInWords(store),
    ...(probing === null ? [] : [wrap(probingInWords(probing))]),
    ...troubles.map((trouble) => wrap(trouble, '! ')),
    ...(targets.length === 0 ? [] : ['', table(targets.map(targetRow))]),
  ].join('\n')
}

function targetRow({ target, lastRunMs, vote, heldDownMs }: TargetReport): string[] {
  const marks = [
    ...(vote?.moving === true ? ['moving'] : []),
    ...(heldDownMs > 0 ? [`UP held down for ${ago(heldDownMs / 1000)}`] : []),
  ]
  return [
    checkInWords(target),
    vote === undefined ? 'no vote' : vote.value === 'down' ? 'DOWN' : vote.value,
    lastRunMs === undefined ? 'never run' : `ran ${ago(lastRunMs / 1000)} ago`,
    vote === undefined ? '' : `${Math.round(vote.rttMs)} ms`,
    [vote?.reason ?? '', ...marks].filter((part) => part !== '').join(', '),
  ]
}
