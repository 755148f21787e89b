/**
 * Services and their members in words, for `meridian status` and `explain`: the state of each member, the reason, and
 * the votes of the probers. Lines have at most 100 columns.
 */
import type { ServiceStatus } from '../../api/status.ts'
import { dissentInWords } from '../../health/dissent.ts'
import type { MemberStatus, ProberStatus, ServiceHealth, VoteStatus } from '../../health/node-health.ts'
import { targetInWords } from '../../health/target.ts'
import { count, formatAge, formatShare, formatWholePercent } from '../../units.ts'
import { clip, table, untilInWords, wrap } from '../output.ts'

type Member = ServiceStatus['members'][number]

/** A service with its members, in words. */
export function serviceInWords(service: ServiceStatus): string {
  const { members } = service
  const heads = table(members.map(headOf), '  ').split('\n')
  const lines = members.flatMap((member, i) => [heads[i]!, ...detailsOf(member)])
  return [titleOf(service), ...heldUpInWords(members), ...lines].join('\n')
}

const titleOf = (service: ServiceStatus): string => [`service ${service.service}`, ...leftInWords(service)].join('  ')

/** What is left of a service counts members that are up for lack of votes alone. */
function heldUpInWords(members: readonly Member[]): string[] {
  const held = members.filter(({ dissent }) => dissent?.says === 'down').length
  return held === 0 ? [] : [`  of that, HELD UP though all votes say DOWN: ${count(held, 'member')}`]
}

/** How much capacity of a service is left, and what is wrong with it, in words. */
export function leftInWords(health: ServiceHealth): string[] {
  const { service, leftPercent, keepPercent, braked, failedOver, yields, lastResort, unanswered } = health
  const keep = keepPercent === 0 ? 'no brake' : `keep ${formatWholePercent(keepPercent)}`
  return [
    `${formatWholePercent(leftPercent)} of its capacity left (${keep})`,
    ...(lastResort ? ['LAST RESORT: no member is usable'] : []),
    ...unanswered.map((type) => `NO ADDRESS for ${type}: all members that have one are down`),
    ...(braked.length > 0 ? [`BRAKE: ${braked.length} voted DOWN, but kept in answers`] : []),
    ...failedOver.map(({ site, well }) =>
      well
        ? `${site} has RECOVERED, and is passed over until meridian return ${site}/${service}`
        : `${site} has FAILED OVER`,
    ),
    ...(yields ? ['NOT FROZEN: all that the freeze would name is DOWN'] : []),
  ]
}

function headOf(member: Member): string[] {
  const { site, address, state, ageMs } = member
  return [site, address, stateInWords(state), `for ${formatAge(ageMs)}`, marksOf(member).join(' ')]
}

/** The state of a member: `up`, any other in capitals. */
export const stateInWords = (state: string): string => (state === 'up' ? 'up' : state.toUpperCase())

/** The marks of a member: held, HELD UP or HELD DOWN against all votes, BRAKED, FROZEN, calm, its share. */
export const marksOf = ({
  held,
  dissent,
  braked,
  frozen,
  calm,
  share,
}: Pick<Member, 'held' | 'dissent' | 'braked' | 'frozen' | 'calm' | 'share'>): string[] => [
  ...(dissent !== undefined ? [`HELD ${dissent.says === 'down' ? 'UP' : 'DOWN'}`] : held ? ['held'] : []),
  ...(braked ? ['BRAKED'] : []),
  ...(frozen ? ['FROZEN'] : []),
  ...(calm ? ['calm'] : []),
  ...(share < 1000 ? [`share ${formatShare(share)}`] : []),
]

/** The reason of a member's state, and the votes, as indented lines. */
export function detailsOf(member: Member): string[] {
  const { verdict, state, why, shareWhy, override, targets } = member
  const lines: string[] = []
  // an override or a drain in the files hides the verdict
  const seen = verdict === undefined || verdict === state ? '' : `verdict ${verdict}: `
  lines.push(wrap(`${seen}${why}`, INDENT))
  if (shareWhy !== '') lines.push(wrap(`share: ${shareWhy}`, INDENT))
  // `why` names the person and the reason
  if (override !== undefined) lines.push(`${INDENT}override of ${override.pattern}, ${untilInWords(override)}`)
  for (const { target, votes } of targets) {
    if (targets.length > 1) lines.push(`${INDENT}${targetInWords(target)}`)
    if (votes.length === 0) lines.push(`${INDENT}no votes`)
    else lines.push(table(votes.map(voteRow), targets.length > 1 ? `${INDENT}  ` : INDENT))
  }
  return lines
}

const INDENT = '      '

function voteRow({ prober, region, value, moving, reason, rttMs, share, ageMs }: VoteStatus): string[] {
  const asks = share < 1000 ? [`asks ${formatShare(share)}`] : []
  return [
    `${prober} (${region})`,
    value === 'down' ? 'DOWN' : value,
    `for ${formatAge(ageMs)}`,
    `${Math.round(rttMs)} ms`,
    clip([reason, ...(moving ? ['moving'] : []), ...asks].join(', '), LONGEST_REASON),
  ]
}

/** The most characters of a prober's reason; --json has all of it. */
const LONGEST_REASON = 44

/**
 * Sites at which a verdict stands for lack of votes alone, a line each, with what to do. `isCutOff`: from the Store, so
 * that no votes come.
 */
export function dissentsInWords(
  services: readonly ServiceStatus[],
  probers: readonly ProberStatus[],
  isCutOff: boolean,
): string[] {
  const all = services.flatMap(({ service, members }) =>
    members.map(({ site, dissent }) => ({ site, service, dissent })),
  )
  const silent = probers
    .filter(({ live }) => !live)
    .map(({ prober }) => prober)
    .toSorted()
  return [...Map.groupBy(all, ({ site }) => site)].flatMap(([site, members]) =>
    dissentInWords(site, members, silent, isCutOff),
  )
}

/** Numbers of members in trouble: `2 down, 1 held`; empty if there are none. */
export function membersInTrouble(
  members: readonly Pick<MemberStatus, 'state' | 'held' | 'braked' | 'frozen'>[],
): string {
  const states = [...Map.groupBy(members, ({ state }) => state)]
    .filter(([state]) => state !== 'up')
    .map(([state, those]) => `${those.length} ${state}`)
  const held = members.filter((member) => member.held).length
  const braked = members.filter((member) => member.braked).length
  const frozen = members.filter((member) => member.frozen).length
  return [
    ...states,
    ...(held > 0 ? [`${held} held`] : []),
    ...(braked > 0 ? [`${braked} braked`] : []),
    ...(frozen > 0 ? [`${frozen} frozen`] : []),
  ].join(', ')
}
