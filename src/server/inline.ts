/** Has V8 compile the answering path as one piece. */
import { setFlagsFromString } from 'node:v8'

/**
 * For all threads of the process, before they answer. V8 inlines calls into a function up to 920 bytes of bytecode, and
 * respond() with all that it calls has more: what is beyond stays calls, for 5 to 10 % of its time (docs/performance.md).
 */
export const inlineMore = (): void => setFlagsFromString('--max-inlined-bytecode-size-cumulative=3500')
