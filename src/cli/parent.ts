/**
 * `meridian check --parent`: compares each zone's delegation at a server of the parent zones with the zone itself: the
 * name servers, and the addresses of those inside the zone (glue). It asks as a resolver does: without recursion, over
 * UDP, and over TCP if the reply is truncated. Called by check.ts. A zone inside another zone of the folder is left
 * out, because the outer zone's file is its parent.
 */
import { familyOf, formatAddress } from '../dns/address.ts'
import { ask, askOverTcp } from '../dns/exchange.ts'
import type { Message, Rr } from '../dns/message.ts'
import { formatName, isWithin, keyOf, parentName } from '../dns/name.ts'
import { type AddressBook, addressBook, serversOf } from '../load/lint.ts'
import type { Position, Problem } from '../problem.ts'
import { type Endpoint, formatEndpoint } from '../units.ts'
import type { ZoneModel } from '../zone/pack.ts'

/** The most queries in flight. */
const AT_ONCE = 8

/**
 * Asks the server about each zone; resolves to problems in no order. Never throws for what the server does or leaves
 * out.
 */
export async function checkParent(server: Endpoint, zones: readonly ZoneModel[]): Promise<readonly Problem[]> {
  const problems: Problem[] = []
  const addressesOf = addressBook(zones)
  const queue = outermost(zones)
  let isHeard = false
  let isSilent = false
  const work = async (): Promise<void> => {
    for (let zone = queue.pop(); zone !== undefined; zone = queue.pop()) {
      const reply = await ask(server, formatName(zone.apex))
      isHeard ||= typeof reply !== 'string'
      let found = compare(zone, reply, server, addressesOf)
      if (found.some(({ code }) => code === 'parent-differs')) {
        // some servers omit glue that does not fit into UDP without truncating (against RFC 9471)
        const whole = await askOverTcp(server, formatName(zone.apex))
        if (typeof whole !== 'string') found = compare(zone, whole, server, addressesOf)
      }
      problems.push(...found)
      if (isHeard || isSilent || queue.length === 0) continue
      isSilent = true
      const rest = queue.splice(0).length
      const message = `${formatEndpoint(server)} did not answer; it was not asked about ${rest} more zones`
      problems.push(unreachable(zone.at, message))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return problems
}

/** The zones that are in no other zone of the folder, in reverse order. */
function outermost(zones: readonly ZoneModel[]): ZoneModel[] {
  const apexes = new Set(zones.map(({ apex }) => keyOf(apex)))
  const isNested = ({ apex }: ZoneModel): boolean => {
    for (let above = apex; above.length > 1;) {
      above = parentName(above)
      if (apexes.has(keyOf(above))) return true
    }
    return false
  }
  return zones.filter((zone) => !isNested(zone)).toReversed()
}

const unreachable = (at: Position, message: string): Problem => ({
  code: 'parent-unreachable',
  severity: 'warning',
  ...at,
  message,
  hint: 'Name a server of the parent zone, one that does not serve the zone itself',
})

/** Compares a zone with the parent's reply. A `reply` that is a string says why there is none. */
function compare(
  zone: ZoneModel,
  reply: Message | string,
  server: Endpoint,
  addressesOf: AddressBook,
): readonly Problem[] {
  const apex = formatName(zone.apex)
  const at = serversOf(zone)?.at ?? zone.at
  const from = formatEndpoint(server)
  if (typeof reply === 'string') return [unreachable(at, `${from} was asked about ${apex}: ${reply}`)]
  const { rcode, answer, authority, additional } = reply
  const isServers = ({ name, type }: Rr): boolean => type === 'NS' && name.toLowerCase() === apex
  const isDenied = rcode === 'NXDOMAIN' || (rcode === 'NOERROR' && reply.aa && answer.length === 0)
  const delegation = authority.filter(isServers)
  if (delegation.length === 0 && !isDenied) return [unreachable(at, `${from} ${notParent(reply, apex)}`)]
  const written = serversOf(zone)?.targets ?? []
  const delegated = new Set(delegation.map(({ rdata }) => rdata.toLowerCase()))
  const differs = (message: string, hint: string): Problem => ({
    code: 'parent-differs',
    severity: 'error',
    ...at,
    message,
    hint,
  })
  const names = written.map((target) => formatName(target))
  if (delegated.size === 0) {
    const lines = names.map((name) => `${apex} NS ${name}`).join('; ')
    return [differs(`the parent zone does not delegate ${apex}`, `Add to the parent zone: ${lines}`)]
  }
  return [
    ...names
      .filter((name) => !delegated.has(name))
      .map((name) =>
        differs(
          `${name} is a name server of ${apex} here, but not in the parent zone`,
          `Add to the parent zone: ${apex} NS ${name}; or remove it here`,
        ),
      ),
    ...[...delegated]
      .filter((name) => !names.includes(name))
      .map((name) =>
        differs(
          `${name} is a name server of ${apex} in the parent zone, but not here`,
          `Remove from the parent zone: ${apex} NS ${name}; or add it here`,
        ),
      ),
    ...written
      .filter((target) => delegated.has(formatName(target)) && isWithin(target, zone.apex))
      .flatMap((target) => glueDiffers(target, addressesOf(target), additional, differs)),
  ]
}

/** Why a reply without a delegation says nothing about the zone, in words. */
function notParent({ rcode, aa, answer, authority }: Message, apex: string): string {
  if (rcode !== 'NOERROR') return `answers ${rcode} to ${apex}: it does not serve the parent zone`
  if (answer.length > 0)
    return `${aa ? 'serves' : 'answers for'} ${apex} itself, so it does not show what the parent zone says`
  const referral = authority.find(({ type }) => type === 'NS')
  if (referral === undefined) return `says nothing about ${apex}`
  return `refers to the servers of ${referral.name} for ${apex}: it does not serve the parent zone`
}

function glueDiffers(
  target: Uint8Array,
  own: readonly Uint8Array[],
  additional: readonly Rr[],
  differs: (message: string, hint: string) => Problem,
): readonly Problem[] {
  if (own.length === 0) return [] // a steered name, or one of a wildcard, has no fixed addresses to compare
  const server = formatName(target)
  const glue = new Set(
    additional
      .filter(({ name, type }) => (type === 'A' || type === 'AAAA') && name.toLowerCase() === server)
      .map(({ rdata }) => rdata),
  )
  const addresses = own.map((bytes) => formatAddress(bytes))
  const line = (address: string): string => `${server} ${familyOf(address) === 6 ? 'AAAA' : 'A'} ${address}`
  return [
    ...addresses
      .filter((address) => !glue.has(address))
      .map((address) =>
        differs(
          `the parent zone has no glue ${address} for ${server}, which has that address here`,
          `Add to the parent zone: ${line(address)}`,
        ),
      ),
    ...[...glue]
      .filter((address) => !addresses.includes(address))
      .map((address) =>
        differs(
          `the parent zone's glue for ${server} is ${address}, an address that it does not have here`,
          `Remove from the parent zone: ${line(address)}; or add it here`,
        ),
      ),
  ]
}
