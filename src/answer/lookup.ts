/**
 * Names → nodes of the Image: the name itself, or what stands for it (RFC 1034 §4.3.2, RFC 4592 §3.3.1). Work is a binary
 * search over the labels, however long the name.
 */
import type { Query } from '../dns/query.ts'
import { exactNode, F_APEX, find, type Image, N_APEX, N_CUT, N_FLAGS, N_WILD, NODE_INTS, upOf } from '../zone/image.ts'

/** Of lookUp() and nodeOf(): the name does not exist, but its encloser does. */
export const NX = -2
/** The name is of no zone of ours. */
const OUTSIDE = -1

/** What else a lookup found: one object, used again for each. */
export interface LookupResult {
  /** The deepest node at or above the name; −1: there is none. */
  encloser: number
}

/** Node of the query name, or of the wildcard that stands for it, or NX or OUTSIDE. */
export function lookUp(image: Image, query: Query, found: LookupResult): number {
  const { labels } = query
  let label = labels > image.deepest ? labels - image.deepest : 0
  let node = findSuffix(image, query, label)
  if (node < 0 && label < labels) {
    node = findSuffix(image, query, ++label) // the parent is the likeliest encloser
    if (node < 0) {
      // what is above a name that exists, exists: `label` has no node, `there` has one
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

/** The same for the name of a number: it was looked up when the World was made. */
export function nodeOf(image: Image, name: number, found: LookupResult): number {
  const node = exactNode(image, name)
  found.encloser = node < 0 ? ~node : node
  return node < 0 ? standIn(image, found.encloser) : ownNode(image, node)
}

/** A node that is of no zone, but above one, is none. */
const ownNode = (image: Image, node: number): number =>
  node >= 0 && image.nodes[node * NODE_INTS + N_APEX]! >= 0 ? node : OUTSIDE

/** What stands for a name that does not exist below its closest encloser. */
function standIn(image: Image, node: number): number {
  if (ownNode(image, node) < 0) return OUTSIDE
  if (image.nodes[node * NODE_INTS + N_CUT]! >= 0) return NX
  const wild = image.nodes[node * NODE_INTS + N_WILD]!
  return wild >= 0 ? wild : NX
}

/** Apex of the zone above the one whose apex this node is; −1 when that is not here, or the node is no apex. */
export function parentApex(image: Image, node: number): number {
  if ((image.nodes[node * NODE_INTS + N_FLAGS]! & F_APEX) === 0) return -1
  const above = upOf(image.nodes, node) // apexes and cuts are joints: no zone is passed over
  if (above < 0 || image.nodes[above * NODE_INTS + N_CUT]! >= 0) return -1
  return image.nodes[above * NODE_INTS + N_APEX]!
}
