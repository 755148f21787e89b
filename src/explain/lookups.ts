/**
 * The names that an answer looked up, as `explain` shows them: which node was found (the name itself, a wildcard, an
 * empty non-terminal, the closest encloser), in which zone, and, if the zones are at hand, where it is written.
 * Recorded by the trace of answer/answer.ts.
 */
import { isRedirecting } from '../answer/lookup.ts'
import type { LookupName } from '../answer/responder.ts'
import { formatName } from '../dns/name.ts'
import { type Image, N_APEX, N_CUT, N_FIRST, N_STEERED, nameOf, NODE_INTS } from '../zone/image.ts'
import { isHints, ownerAt, positionOf, Z_INTS, Z_TYPE, type ZoneModel } from '../zone/pack.ts'

/** A name that was looked up, and what was found. */
export interface Lookup {
  /** Text with the final dot. */
  readonly name: string
  /**
   * `exact`, `wildcard`: a node with records; `empty`: an empty non-terminal, which only has names below it;
   * `delegated`: at or below a zone cut; `redirected`: below the owner of a DNAME; `none`: no such name; `outside`: in no zone that is served.
   */
  readonly found: 'exact' | 'wildcard' | 'empty' | 'delegated' | 'redirected' | 'none' | 'outside'
  /** Owner of the node that was found; for `none` the closest encloser, for `delegated` the cut, for `redirected` the DNAME's; null = outside. */
  readonly node: string | null
  /** Apex of its zone; null = outside. */
  readonly zone: string | null
  /** Where the node's records are written, by type; empty if that is unknown, or the node has none. */
  readonly written: readonly SourceLine[]
}

/** Where a record is written: `at` is `file:line`. */
export interface SourceLine {
  /** RR type number; 0 = a steered entry. */
  readonly type: number
  readonly at: string
}

/** Describes a lookup. `node` and `known`: as in AnswerTrace.looked(). `zones`: may be empty. */
export function lookupOf(
  image: Image,
  zones: readonly ZoneModel[],
  name: LookupName,
  node: number,
  known: number,
): Lookup {
  const wire = name.name.slice(0, name.nameBytes)
  const text = formatName(wire)
  if (known < 0) return { name: text, found: 'outside', node: null, zone: null, written: [] }
  const cut = image.nodes[known * NODE_INTS + N_CUT]!
  const decides = cut >= 0 ? cut : known
  const owner = nameOf(image, decides)
  const redirected = node < 0 && cut < 0 && isRedirecting(image, known)
  const apex = nameOf(image, image.nodes[known * NODE_INTS + N_APEX]!)
  return {
    name: text,
    found: cut >= 0 ? 'delegated' : redirected ? 'redirected' : node < 0 ? 'none' : foundAt(image, node, owner, wire),
    node: formatName(owner),
    zone: formatName(apex),
    written: node < 0 && cut < 0 && !redirected ? [] : writtenAt(zones, apex, owner),
  }
}

function foundAt(image: Image, node: number, owner: Uint8Array, name: Uint8Array): Lookup['found'] {
  const at = node * NODE_INTS
  const empty = image.nodes[at + N_FIRST] === image.nodes[at + NODE_INTS + N_FIRST]
  if (empty && image.nodes[at + N_STEERED]! < 0) return 'empty'
  return Buffer.compare(owner, name) === 0 ? 'exact' : 'wildcard'
}

function writtenAt(zones: readonly ZoneModel[], apex: Uint8Array, owner: Uint8Array): readonly SourceLine[] {
  const zone = zones.find((one) => Buffer.compare(one.apex, apex) === 0)
  if (zone === undefined) return []
  const { sets } = zone
  const written: SourceLine[] = []
  for (let i = 0; i < sets.length; i += Z_INTS) {
    if (isHints(sets, i) || Buffer.compare(ownerAt(zone, i), owner) !== 0) continue
    const { file, line } = positionOf(zone, i)
    written.push({ type: sets[i + Z_TYPE]!, at: `${file}:${line}` })
  }
  return written
}
