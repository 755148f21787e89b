/**
 * Names → nodes of the Image: the name itself, or the wildcard that matches it (RFC 1034 §4.3.2, RFC 4592 §3.3.1). A
 * lookup is a binary search over the name's labels, so its cost is bounded for any name. Called by answer.ts.
 */
import type { Query } from '../dns/query.ts'
import {
  exactNode,
  F_APEX,
  F_DNAME,
  find,
  type Image,
  N_APEX,
  N_CUT,
  N_FLAGS,
  N_WILD,
  NODE_INTS,
  upOf,
} from '../zone/image.ts'

/** Result of lookUp() and nodeOf(): the name does not exist, but its zone does. */
export const NX = -2
/** Result of lookUp() and nodeOf(): the name is in no zone that is served. */
const OUTSIDE = -1

/** The second result of a lookup: one object for each thread, used again for every lookup. */
export interface LookupResult {
  /** The closest encloser: the deepest node at or above the name (RFC 4592 §3.3.1); −1 = none. */
  encloser: number
}

/** The node of the query name, or of the wildcard that matches it, or NX or OUTSIDE. */
export function lookUp(image: Image, query: Query, found: LookupResult): number {
  const { labels } = query
  let label = labels > image.deepest ? labels - image.deepest : 0
  let node = findSuffix(image, query, label)
  if (node < 0 && label < labels) {
    node = findSuffix(image, query, ++label) // the parent is the likeliest encloser
    if (node < 0) {
      // every name above an existing one exists; invariant: the suffix at `label` has no node, the one at `there` has
      let there = labels
      while (there - label > 1) {
        const middle = (there + label) >>> 1
        const suffix = findSuffix(image, query, middle)
        if (suffix < 0) label = middle
        else {
          there = middle
          node = suffix
        }
      }
      if (node < 0) node = findSuffix(image, query, labels)
      label = there
    }
  }
  found.encloser = node
  return label === 0 ? ownNode(image, node) : standIn(image, node)
}

const findSuffix = (image: Image, { name, nameBytes, labelAt, hashes }: Query, label: number): number =>
  find(image, name, labelAt[label]!, nameBytes - labelAt[label]!, hashes[label]!)

/** As lookUp(), for a name in the Image's RDATA, by its number: it was looked up when the World was made. */
export function nodeOf(image: Image, name: number, found: LookupResult): number {
  const node = exactNode(image, name)
  found.encloser = node < 0 ? ~node : node
  return node < 0 ? standIn(image, found.encloser) : ownNode(image, node)
}

/** The node, or OUTSIDE where the name is above all apexes and so belongs to no zone. */
const ownNode = (image: Image, node: number): number =>
  node >= 0 && image.nodes[node * NODE_INTS + N_APEX]! >= 0 ? node : OUTSIDE

/** What answers for a name that does not exist, by its closest encloser: the wildcard there, or NX or OUTSIDE. */
function standIn(image: Image, node: number): number {
  if (ownNode(image, node) < 0) return OUTSIDE
  if (image.nodes[node * NODE_INTS + N_CUT]! >= 0) return NX
  const wild = image.nodes[node * NODE_INTS + N_WILD]!
  return wild >= 0 ? wild : NX
}

/** Whether the names below a node are redirected by a DNAME (RFC 6672); it has no names of its own there. */
export const isRedirecting = ({ nodes }: Image, node: number): boolean =>
  node >= 0 && (nodes[node * NODE_INTS + N_FLAGS]! & F_DNAME) !== 0

/**
 * For the apex of a zone, the apex of its parent zone; −1 when the parent is not served here, or the node is no apex.
 */
export function parentApex(image: Image, node: number): number {
  if ((image.nodes[node * NODE_INTS + N_FLAGS]! & F_APEX) === 0) return -1
  const above = upOf(image.nodes, node) // apexes and cuts are branch points: no zone is skipped
  if (above < 0 || image.nodes[above * NODE_INTS + N_CUT]! >= 0) return -1
  return image.nodes[above * NODE_INTS + N_APEX]!
}
