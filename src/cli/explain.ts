/** `meridian explain NAME --client IP`: why a client gets its answer, from the node that gives it. */
import type { Explanation, Steering, Step } from '../answer/explain.ts'
import type { Question } from '../http/app.ts'
import { ask, type ControlOptions } from './control.ts'
import { type Output, table } from './output.ts'

export interface ExplainOptions extends ControlOptions {
  readonly question: Question
  readonly json: boolean
}

/** Exit code. Throws ControlError. */
export async function explain(options: ExplainOptions, output: Output): Promise<number> {
  const { name, client, type, down } = options.question
  const query = new URLSearchParams({ name, client, type })
  for (const site of down) query.append('down', site)
  const told = await ask<Explanation>(options, `/api/explain?${query.toString()}`)
  output.out(options.json ? JSON.stringify(told) : describe(told))
  return 0
}

/** For people: place, order, walk, pick, TTL, answer. */
function describe(told: Explanation): string {
  const head = `${told.name} ${told.type} for ${told.client}: ${told.rcode}, scope /${told.scope}`
  const rows = told.answer.map((rr) => ['answer', rr])
  const { steering } = told
  if (steering === undefined) return [head, table(rows, '  ')].join('\n')
  const why = [
    ['place', describePlace(steering)],
    ['rule', `${steering.rule ?? 'none: the service’s own order'}${steering.fence ? ' (fence)' : ''}`],
    ['service', `${steering.service}, class ${steering.class}`],
    ...describeWalk(steering.walk).map((step) => ['walk', step]),
    ['pick', describePick(steering)],
    ['TTL', describeTtl(steering)],
  ]
  return [head, table([...why, ...rows], '  '), '', describeOrder(steering)].join('\n')
}

function describePlace({ place }: Steering): string {
  const codes = [place.continent, place.country, place.subdivision].filter((code) => code !== '')
  const at = place.latitude === null ? '' : ` at ${place.latitude.toFixed(2)}, ${place.longitude!.toFixed(2)}`
  return `${codes.length > 0 ? codes.join('-') : 'unknown'}${at} (the database’s prefix is /${place.depth})`
}

function describeOrder({ sites }: Steering): string {
  const head = ['group', 'site', 'distance', 'bias', 'weight', 'capacity', 'VIPs']
  const rows = sites.map(({ group, site, distanceKm, bias, weight, capacity, vips }) => {
    const states = vips.map(({ address, state, share }) => `${address} ${state}${share < 1000 ? ` ${share}‰` : ''}`)
    const distance = distanceKm === null ? '-' : `${distanceKm} km`
    return [`${group}`, site, distance, `${bias}`, `${weight}`, `${capacity}`, states.join(', ')]
  })
  return table([head, ...rows], '  ')
}

/** A stage in which no site was eligible is one line. */
function describeWalk(walk: readonly Step[]): readonly string[] {
  return [...new Set(walk.map(({ stage }) => stage))].flatMap((stage) => {
    const steps = walk.filter((step) => step.stage === stage)
    if (!steps.some(({ verdict }) => verdict === 'eligible')) {
      return [`${stage}: ${steps.map(({ site, verdict }) => `${site} ${verdict}`).join('; ')}`]
    }
    return steps.map(({ group, site, verdict, score }) => {
      const scored = score === undefined ? '' : `, score ${score.toPrecision(4)} (the least wins)`
      return `${stage}: group ${group}, ${site}: ${verdict}${scored}`
    })
  })
}

function describeTtl({ ttlSeconds, ttlIsLongest, calm }: Steering): string {
  if (ttlIsLongest) return `${ttlSeconds} s, the longest: every member consulted is calm`
  const why = calm ? 'nothing that is known to be up was named' : 'not every member consulted is calm'
  return `${ttlSeconds} s, the shortest: ${why}`
}

function describePick({ pick, stage, lastResort, hashed }: Steering): string {
  const site = pick ?? (lastResort ? 'no site: the last resort' : 'no site')
  return `${site}${stage === null ? '' : ` (${stage})`}${hashed ? ', by a hash of the client’s network' : ''}`
}
