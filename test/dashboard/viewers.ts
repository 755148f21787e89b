/**
 * Viewers of a node's board, each of which asks for the next one as dashboard/api.ts does. Writes the ETag of each board that
 * one of them gets as a line. Arguments: the URL of the page, the token, how many. Ends with its parent.
 */
const [url, token, viewers] = process.argv.slice(2)

async function view(): Promise<void> {
  let etag: string | undefined
  for (;;) {
    const known = etag === undefined ? {} : { 'if-none-match': etag }
    const headers = { authorization: `Bearer ${token}`, prefer: 'wait=8', ...known }
    const response = await fetch(`${url}api/board`, { headers })
    if (response.status === 304) continue
    if (!response.ok) throw new Error(`HTTP status ${response.status}`)
    etag = response.headers.get('etag') ?? undefined
    await response.json()
    process.stdout.write(`${etag}\n`)
  }
}

process.stdin.resume()
process.stdin.once('close', () => process.exit())
await Promise.all(Array.from({ length: Number(viewers) }, view))
