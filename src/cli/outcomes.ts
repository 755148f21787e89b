/**
 * How commands end, and what signals do: the tables of meridian(1) and docs/commands.md, in Markdown. A test holds the
 * latter to them.
 */

/** Exit codes that scripts may rely on, and what each means. */
export const EXIT_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [0, 'success'],
  [
    1,
    "failure: errors in what was read, or the command's question has a bad answer (`check`, `status`, `drain --dry-run`, `plan --max-move`); a drill that did not come to its end; an override, `freeze`, `return` or `forget` that is in force here, but that not all nodes have acknowledged: the message names them",
  ],
  [
    2,
    'wrong usage: an option that there is not, or a question that names what there is not (`status nosuch`, `explain … --client 300.1.1.1`)',
  ],
  [
    3,
    "done, but not stored everywhere; the message says where not: on this node's disk, or in Redis, from which the other nodes read it",
  ],
  [70, 'a bug of Meridian'],
]

/** Signals that a node or prober acts on, and what each does. */
export const SIGNALS: readonly (readonly [names: string, effect: string])[] = [
  ['SIGHUP', 'reloads zones and databases (changes are also noticed without it)'],
  [
    'SIGUSR2',
    'a node starts the version that is installed now, with its own flags and `--takeover`, and ends when that one is ready; no query is lost',
  ],
  [
    'SIGTERM, SIGINT',
    'turns `/ready` off, has its addresses withdrawn and waits `announce.wait` where they are announced, answers the queries it has received, closes the ports, saves health, exits with 0; a second one exits at once',
  ],
]
