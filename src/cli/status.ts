/** `meridian status`: sites, services, members and votes, as a node sees them. */
import { type ControlOptions, ask } from './control.ts'
import { ago, type Output, table } from './output.ts'
import { formatProblem } from '../problem.ts'
import type { ServiceStatus, Status } from './view.ts'

/** Exit code: 0 when ready, 1 when not. */
export async function status(options: ControlOptions & { readonly json: boolean }, output: Output): Promise<number> {
  const answer = await ask<Status>(options, '/api/status')
  output.out(options.json ? JSON.stringify(answer) : inWords(answer))
  return answer.node.ready ? 0 : 1
}

export function inWords({ node, world, load, services, probers, server, troubles }: Status): string {
  const parts = [
    `${node.name}  ${node.ready ? 'ready' : `not ready: ${node.reasons.join('; ')}`}  up ${ago(node.upSeconds)}  pid ${node.pid}  version ${node.version}`,
    `listening on ${node.listen.join(', ')}${server === null ? '' : `, ${server.udp.threads} threads, UDP ${server.udp.form}${server.udp.reason === undefined ? '' : ` (${server.udp.reason})`}`}`,
  ]
  if (world !== null) {
    parts.push(`generation ${world.generation}  view ${world.view}  ${world.zones} zones  ${world.names} names`)
  }
  if (load !== null) {
    const what = load.ok ? 'took' : 'was REFUSED, the older World goes on serving'
    parts.push(`the last load ${what}  ${ago(load.agoSeconds)} ago (${load.why})`)
    for (const problem of load.problems) parts.push(`  ${formatProblem(problem)}`)
  }
  for (const trouble of troubles) parts.push(`trouble: ${trouble}`)
  for (const service of services) parts.push('', serviceInWords(service))
  const rows = probers.map(({ prober, region, live, ageMs, beat }) => [
    prober,
    region,
    live ? 'live' : 'SILENT',
    `heard ${ago(ageMs / 1000)} ago`,
    (beat?.overdue ?? 0) === 0 ? '' : `${beat!.overdue} targets overdue`,
  ])
  parts.push('', 'probers', rows.length === 0 ? '  none heard' : table(rows, '  '))
  return parts.join('\n')
}

function serviceInWords({ service, lastResort, members }: ServiceStatus): string {
  const rows = members.map((member) => {
    const marks = [member.held ? 'held' : '', member.calm ? 'calm' : ''].filter((mark) => mark !== '').join(' ')
    const votes = member.targets.flatMap((target) => target.votes)
    const said = votes.map(({ prober, value, reason }) => `${prober} ${value}: ${reason}`).join('; ')
    return [member.site, member.address, member.state, `for ${ago(member.ageMs / 1000)}`, marks, said || member.why]
  })
  return `service ${service}${lastResort ? '  ALL DOWN: the last resort answers' : ''}\n${table(rows, '  ')}`
}
