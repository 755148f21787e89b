/**
 * What may be at and below a name with a DNAME (RFC 6672 §2.4). Called by records.ts once the zone is read. That no inner
 * zone is below it is checked in resolve.ts.
 */
import { formatName, keyOf, parentName } from '../dns/name.ts'
import { TYPE } from '../dns/types.ts'
import { count } from '../units.ts'
import type { Reader } from '../yaml/read.ts'
import type { Owner, ZoneNames } from './cuts.ts'

/** Reports DNAMEs at wildcards, and names below a DNAME: one problem for each DNAME, at the first of them. */
export function checkDnames({ apex, owners }: Pick<ZoneNames, 'apex' | 'owners'>, read: Reader): void {
  const redirected = new Map<string, Owner>()
  for (const [key, owner] of owners) {
    const dname = owner.records.find(({ type }) => type === TYPE.DNAME)
    if (dname === undefined) continue
    redirected.set(key, owner)
    if (owner.wire[0] !== 1 || owner.wire[1] !== 42) continue
    const message = 'a wildcard cannot have a DNAME: what it redirects is undefined (RFC 4592 §4.4)'
    read.fault('dname-conflict', dname.node, message, 'Write it at each name whose names are to be redirected')
  }
  if (redirected.size === 0) return
  const below = new Map<Owner, { readonly first: Owner; others: number }>()
  for (const owner of owners.values()) {
    for (let name = owner.wire; name.length > apex.length;) {
      name = parentName(name)
      const above = redirected.get(keyOf(name))
      if (above === undefined) continue
      const found = below.get(above)
      if (found === undefined) below.set(above, { first: owner, others: 0 })
      else found.others++
      break
    }
  }
  for (const [{ wire, node }, { first, others }] of below) {
    const who = others === 0 ? 'is' : `and ${count(others, 'more name')} are`
    const name = formatName(wire)
    const message = `${formatName(first.wire)} ${who} below ${name}, whose DNAME redirects all names below it`
    const { file, line } = read.at(node)
    read.fault(
      'dname-conflict',
      first.node,
      message,
      `Move it to the DNAME's target, or remove the DNAME at ${file}:${line}`,
    )
  }
}
