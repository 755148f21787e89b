/**
 * Which node sends what: the nodes of the fleet in an order of their own for each problem (rendezvous hashing). The
 * first one sends; each other one steps in when those before it have not, a lease later each. While the Store is in
 * trouble nobody knows who lives, so the nodes that were heard before it count.
 */
import { hashText, mix } from '../../hash.ts'
import type { NodeIdentity } from '../../health/store.ts'

/** What a node knows of its fleet. */
export interface FleetView {
  readonly self: NodeIdentity
  /** Nodes that are heard, this one included when it hears itself. */
  readonly live: () => readonly NodeIdentity[]
  /** What is wrong with the Store, in words. */
  readonly trouble: () => string | undefined
}

/** Whose turn it is, by the nodes that were heard last. */
export class Turns {
  readonly #view: FleetView
  #live: readonly NodeIdentity[]

  constructor(view: FleetView) {
    this.#view = view
    this.#live = [view.self]
  }

  get self(): NodeIdentity {
    return this.#view.self
  }

  get trouble(): string | undefined {
    return this.#view.trouble()
  }

  /** Whether that boot of a node was heard last. */
  isLive({ bootId }: NodeIdentity): boolean {
    return this.#live.some((node) => node.bootId === bootId)
  }

  /** How many nodes come before this one in sending what is about `problem`. */
  rank(problem: string): number {
    const weight = (name: string): number => mix(hashText(problem) ^ hashText(name)) >>> 0
    const { name: own } = this.self
    const ownWeight = weight(own)
    const isBefore = ({ name }: NodeIdentity): boolean => {
      const other = weight(name)
      return name !== own && (other > ownWeight || (other === ownWeight && name < own))
    }
    return this.#live.filter(isBefore).length
  }

  /** Takes in who is heard now. Called in each turn: when the Store is away it is too late. */
  look(): void {
    const live = this.#view.live()
    const { bootId } = this.self
    // it hears itself, so it hears the others
    if (this.trouble === undefined && live.some((node) => node.bootId === bootId)) this.#live = live
  }
}
