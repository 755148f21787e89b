/**
 * The Store contract: how votes reach nodes, and how nodes exchange what they serve and the overrides they hold. It has
 * two implementations, memory (one process) and Redis, and one test suite.
 * The Store is a relay, not the source of truth: each writer remembers what it wrote and can write it again at any
 * time. A missing key never means down.
 *
 *   prober ─ ProberWriter ─▶ ┌───────┐ ─▶ StoreSubscriber ─▶ nodes, and other probers (which share the targets)
 *   node ─── NodeWriter ───▶ │ Store │ ─▶ StoreSubscriber ─▶ other nodes
 *                            └───────┘
 */
import type { Override } from './override.ts'
import type { Refusals } from './refusals.ts'
import type { Verdict, Vote } from './vote.ts'

/** Interval of heartbeats of probers and nodes, in ms. */
export const HEARTBEAT_MS = 1000
/** A prober or node without a heartbeat for so long, in ms, is gone. */
export const LEASE_MS = 3 * HEARTBEAT_MS

/**
 * Most probers of one fleet. Anyone with write access to the Store can invent names, so live ones keep their places: a
 * newcomer beyond the limit replaces the one that has been silent longest, or is refused.
 */
export const MOST_PROBERS = 1000
/** Most nodes of one fleet, by the same rule as MOST_PROBERS. */
export const MOST_NODES = 1000
/** A prober in one run of its process. */
export interface ProberIdentity {
  readonly name: string
  readonly region: string
  /** New at each start; (bootId, sequence) orders everything that a prober sends. */
  readonly bootId: string
}

/** A prober's sign of life, sent every HEARTBEAT_MS. */
export interface Heartbeat {
  readonly prober: ProberIdentity
  readonly sequence: number
  /** Hash of the targets it probes. */
  readonly configHash: string
  /** Number of targets whose check is late; overdueAgeMs is the delay of the latest one. */
  readonly overdue: number
  readonly overdueAgeMs: number
}

/** A prober or a node. */
export interface ProcessName {
  readonly kind: 'prober' | 'node'
  readonly name: string
}

/** A process that is gone for good, as an operator has said. */
export interface Forgotten extends ProcessName {
  /** The boot under which it was heard last; empty: not known. A later boot is not forgotten. */
  readonly bootId: string
  /** Of the request: the same process may come back, and be forgotten again. */
  readonly id: string
}

/** A node in one run of its process. */
export interface NodeIdentity {
  readonly name: string
  readonly bootId: string
}

/** Queries and steered answers of a node a second, over the last 5 to 10 s. */
export interface FleetRates {
  readonly queriesPerSecond: number
  /** Those with most answers, if there are very many. */
  readonly sites: readonly { readonly site: string; readonly answersPerSecond: number }[]
}

/** A node's sign of life and what it serves, sent every HEARTBEAT_MS. Nodes that serve the same have equal hashes. */
export interface NodeHeartbeat {
  readonly node: NodeIdentity
  readonly sequence: number
  /** Version of Meridian. */
  readonly version: string
  /** Hash of everything that is served. */
  readonly view: string
  /** What git says of the zones that are served, `1a2b3c4-dirty`; absent outside of git, and of older versions. */
  readonly revision?: string
  /** HealthSpec.hash: the targets on which the node needs votes. */
  readonly plan: string
  /** Hash of the states of all members. */
  readonly verdicts: string
  /** Overrides.hash: which overrides are in force there, its acknowledgement; absent of older versions. */
  readonly overrides?: string
  /** Overrides.controlsHash: which failovers and which freeze; absent of older versions, which know neither. */
  readonly controls?: string
  /** Hash of the list of forgotten processes that it has read, its acknowledgement; absent: none. */
  readonly forgotten?: string
  /** How far the wall clock of its host is ahead of the Store's, in ms; the Store sets it. Absent: not measured. */
  readonly clockMs?: number
  /** What it answers, a second; only while a drill is in force. */
  readonly rates?: FleetRates
  /** Its last heartbeat: it ends in order, and is not missed. */
  readonly ends?: boolean
}

/** What a node knows of a member, published for nodes that start without saved state. */
export interface KnownMember {
  readonly verdict: Verdict
  /** Targets that were seen up. */
  readonly proven: readonly string[]
}

/**
 * A prober's write access to the Store. Calls take effect in call order; of several changes to one target in the same
 * tick the last wins. A call resolves when the Store has it, or when the Store is in trouble: then it is kept and sent
 * later.
 */
export interface ProberWriter {
  /** Replaces all votes. A prober calls it at its start, if only with an empty list. */
  replace(votes: readonly Vote[]): Promise<void>
  /** Writes one changed vote, ahead of the next heartbeat. */
  change(vote: Vote): Promise<void>
  /** Removes the votes on targets that this prober no longer checks. */
  retire(targets: readonly string[]): Promise<void>
  /** Renews the lease. If it had expired, or the Store had lost the votes, all votes are written again. */
  heartbeat(beat: Heartbeat): Promise<void>
}

/** A node's write access to the Store, with the same guarantees as ProberWriter. */
export interface NodeWriter {
  /** Renews the lease. If it had expired, or the Store had lost what this node wrote, all of it is written again. */
  heartbeat(beat: NodeHeartbeat): Promise<void>
  /** Publishes members whose verdict or proof has changed; undefined removes the member. */
  writeMembers(changes: ReadonlyMap<string, KnownMember | undefined>): Promise<void>
  /**
   * Publishes overrides; for each pattern the newest wins (override.ts), whichever node wrote it. Resolves to the
   * winners. Rejects with the reason when the Store has not accepted them; they are kept and sent later.
   */
  override(entries: readonly Override[]): Promise<readonly Override[]>
  /**
   * Removes a decommissioned prober or node from all nodes. `id`: of the request. Rejects, and is sent later, like
   * override().
   */
  forget(process: ProcessName, id: string): Promise<void>
}

/** A change as nodes recognise it in each other's messages. Both texts are hashes of `[A-Za-z0-9_-]`, at most 32. */
export interface Sighting {
  /** What has changed. */
  readonly about: string
  /** To which state. */
  readonly state: string
  /** How long ago it changed, and began to be in the state before, in ms; null: not known. */
  readonly ageMs: number
  readonly sinceAgeMs: number | null
}

/** Who sends a message to receivers, and which of them have it. */
export interface Sending {
  readonly node: NodeIdentity
  /** Names of receivers. */
  readonly done: readonly string[]
  /** As the Store has it, for take(). */
  readonly text: string
}

/**
 * What receivers of notifications have been told, and by whom: so that one node of the fleet sends each message, and
 * another takes over when it is gone. All calls reject with the reason when the Store can't be reached.
 */
export interface SendingBoard {
  /**
   * For each sighting the id of the message that tells of it; undefined: none does. With `id` those become the message
   * of that id, which this node sends. A sighting that is older than what has been told since is told by that.
   */
  claim(id: string | undefined, sightings: readonly Sighting[]): Promise<readonly (string | undefined)[]>
  /** Who sends these messages; one is missing that nobody does, or did long ago. */
  sendings(ids: readonly string[]): Promise<ReadonlyMap<string, Sending>>
  /** Publishes which receivers have a message of this node. False: another node has taken it over. */
  done(id: string, receivers: readonly string[]): Promise<boolean>
  /** Takes over a message, if it is still as it was `seen`; undefined: it was missing. */
  take(id: string, seen: Sending | undefined): Promise<boolean>
}

/**
 * Which nodes are announced and answer: so that the last one of them does not withdraw its address. All calls reject with
 * the reason when the Store can't be reached.
 */
export interface AnnounceBoard {
  /** Says for LEASE_MS that this node is announced and answers. Resolves to how many others say so. */
  announced(): Promise<number>
  /**
   * Takes back what announced() said, and counts the others, in one step: of two that leave at the same time the second
   * does not count the first.
   */
  leave(): Promise<number>
}

/** SIGHTING_SLACK_MS: nodes judge the same change so far apart, and (TOGETHER) at most so far if nothing else tells. */
export const SIGHTING_SLACK_MS = 2_000
export const SIGHTING_TOGETHER_MS = 15_000

/**
 * Callbacks for what others write, in order for each prober. A new bootId ends everything that the earlier boot said.
 */
export interface StoreSubscriber {
  /** New or changed votes. `whole`: these are all; the prober has no other votes any more. */
  votes(prober: ProberIdentity, votes: readonly Vote[], whole: boolean): void
  retired(prober: ProberIdentity, targets: readonly string[]): void
  heartbeat(beat: Heartbeat): void
  /** The prober's lease has expired. Its silence is no vote; if it returns, its votes come again, whole. */
  gone(prober: ProberIdentity): void
  /**
   * On connecting: a prober that is not live now but was seen `ageMs` ago by the Store's clock; its region is unknown.
   */
  absent?(prober: string, ageMs: number): void
  /** A node's heartbeat, including this node's own: hearing its own proves that it hears the others. */
  node?(beat: NodeHeartbeat): void
  nodeGone?(node: NodeIdentity): void
  /** Changed overrides; on connecting all of them, also if there are none. Includes tombstones. */
  overrides?(entries: readonly Override[], whole: boolean): void
  /** Decommissioned probers and nodes: those that are news, and the whole list, by which a node acknowledges it. */
  forgotten?(news: readonly ProcessName[], all: readonly Forgotten[]): void
}

/** Something that a node saw happen. The room `events` knows what is in it. */
export interface EventNotice {
  /** Unique in the fleet: `NODE.BOOT.N`. */
  readonly id: string
  readonly node: string
  /** Events of different nodes that have one key, and are at most `togetherMs` apart, are the same one. */
  readonly key: string
  readonly togetherMs: number
  /** How long ago it happened. */
  readonly ageMs: number
  readonly text: string
}

/** The same as the fleet saw it. */
export interface EventLine {
  /** Of the notice that came first, and its text. */
  readonly id: string
  readonly text: string
  /** Ids of the notices of all who saw it; includes `id`. */
  readonly witnesses: readonly string[]
}

/** Lines that came or changed since an earlier read. */
export interface EventLines {
  readonly lines: readonly EventLine[]
  /** For the next read. */
  readonly mark: string
  /** There are no more now. */
  readonly isWhole: boolean
  /** The Store has lost what it had: this is the first read of what it has now. */
  readonly isLost: boolean
}

/** The mark of the first read of events, and of any while there are none. */
export const EVENTS_BEGIN = ''

/** The events of the fleet. Nothing of health depends on it. Both calls reject when the Store can't do it now. */
export interface EventBoard {
  /**
   * Adds events; those that it has already are not added twice. Resolves to the line that each is part of; undefined:
   * it can't be read.
   */
  publish(notices: readonly EventNotice[]): Promise<readonly (EventLine | undefined)[]>
  /** Reads some lines. `mark`: of the read before, or EVENTS_BEGIN. */
  read(mark: string): Promise<EventLines>
}

/** Access to votes, overrides and heartbeats of the fleet. */
export interface Store {
  /** False: only probers of this process can write here, so a saved roster of probers means nothing. */
  readonly shared: boolean
  /**
   * What is wrong with the connection to the Store, with its age, in words; undefined: nothing. While there is trouble,
   * silence means nothing, and the last verdicts stand.
   */
  readonly trouble: string | undefined
  /** What was read but rejected by the subscribers of this process. */
  readonly refusals: Refusals
  /** Write access for a prober of this process. */
  proberWriter(prober: ProberIdentity): ProberWriter
  /** Write access for a node of this process. */
  nodeWriter(node: NodeIdentity): NodeWriter
  /** The events of the fleet; absent: no other process can write here. */
  readonly eventBoard?: EventBoard
  /** What each other live node knows of members; empty when there is none or the Store cannot be reached. */
  readMembers(): Promise<readonly ReadonlyMap<string, KnownMember>[]>
  /**
   * Delivers everything that is there before it resolves, then every change, until the signal aborts. Resolves within
   * about 2 s when the Store cannot be reached; everything is then delivered later.
   */
  listen(subscriber: StoreSubscriber, signal: AbortSignal): Promise<void>
  /** Delivers all votes of the prober again to every subscriber here, with its next heartbeat at the latest. */
  repeat(prober: string): void
  close(): Promise<void>
}

/** What a node that tells receivers needs besides. */
export interface NodeStore extends Store {
  /** What receivers of notifications have been told, as a node of this process sees it. */
  sendingBoard(node: NodeIdentity): SendingBoard
  /** Which nodes are announced, as a node of this process sees it. */
  announceBoard(node: NodeIdentity): AnnounceBoard
}
