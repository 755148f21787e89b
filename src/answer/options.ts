/**
 * EDNS options of the response, apart from ECS: those that the client asks for and the Protocol turns on. Called by
 * answer.ts, for the few queries that ask for one.
 */
import { OPTION } from '../dns/types.ts'
import type { Responder } from './responder.ts'
import { addOption } from './response.ts'

/** Adds the options that the query asks for to the OPT record of its response, which has been begun. */
export function addOptions({ query, protocol, response }: Responder): void {
  const { nsid } = protocol
  // RFC 5001 §2.1: what the client writes in its own option means nothing
  if ((query.options & (1 << OPTION.NSID)) !== 0 && nsid.length > 0) addOption(response, OPTION.NSID, nsid, nsid.length)
}
