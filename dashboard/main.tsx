/**
 * The page of a node: what has changed, who is hurt, what can be done. It shows what GET /api/board says and is kept up to
 * date by waiting for the next one; it decides nothing itself.
 */
import { render } from 'preact'
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { type Ask, keepToken, Refused, request, type Seen, watchBoard } from './api.ts'
import { Actions } from './actions.tsx'
import { Changes } from './changes.tsx'
import { Drills } from './drills.tsx'
import { Explain } from './explain.tsx'
import { Fleet } from './fleet.tsx'
import { Services } from './services.tsx'
import { headlineOf, Status } from './status.tsx'
import { TokenDialog } from './token.tsx'
import { Votes } from './votes.tsx'
import { World } from './world.tsx'

/** Somebody waits for a token. */
interface Wanted {
  readonly why: Refused
  readonly done: Promise<boolean>
  readonly given: (given: boolean) => void
}

function Page() {
  const [seen, setSeen] = useState<Seen>()
  const [trouble, setTrouble] = useState<string>()
  const [wanted, setWanted] = useState<Wanted>()
  const waiting = useRef<Wanted | undefined>(undefined)

  const wantToken = useCallback((why: Refused): Promise<boolean> => {
    if (waiting.current === undefined) {
      const { promise, resolve } = Promise.withResolvers<boolean>()
      waiting.current = { why, done: promise, given: resolve }
      setWanted(waiting.current)
    }
    return waiting.current.done
  }, [])
  const answer = (token: string | undefined): void => {
    if (token !== undefined) keepToken(token)
    waiting.current?.given(token !== undefined)
    waiting.current = undefined
    setWanted(undefined)
  }
  const ask: Ask = useCallback(
    async (path, body) => {
      for (;;) {
        try {
          return await request(path, body)
        } catch (error) {
          if (!(error instanceof Refused && error.wantsToken && (await wantToken(error)))) throw error
        }
      }
    },
    [wantToken],
  )
  useEffect(() => watchBoard({ onBoard: setSeen, onTrouble: setTrouble, onLocked: wantToken }), [wantToken])
  useEffect(() => {
    if (seen !== undefined) document.title = `${headlineOf(seen.board)} – ${seen.board.summary.node.name}`
  }, [seen])

  return (
    <>
      <a class="skip" href="#services">
        Skip to the services
      </a>
      <Status seen={seen} trouble={trouble} />
      {seen !== undefined && (
        <main>
          <Changes seen={seen} ask={ask} />
          <Votes seen={seen} ask={ask} />
          <Services seen={seen} ask={ask} />
          <Actions seen={seen} ask={ask} />
          <div class="column">
            <Drills seen={seen} ask={ask} />
            <Fleet seen={seen} />
          </div>
          <Explain seen={seen} ask={ask} />
          <World seen={seen} ask={ask} />
        </main>
      )}
      <footer>
        <p>
          Country outlines: <span class="name">Natural Earth</span>. Places of clients: the GeoIP databases of this
          node, such as <span class="name">IP Geolocation by DB-IP</span> or{' '}
          <span class="name">GeoLite2 by MaxMind</span>. <a href="assets/licences.txt">Licences</a>
        </p>
      </footer>
      {wanted !== undefined && <TokenDialog why={wanted.why} onGiven={answer} />}
    </>
  )
}

render(<Page />, document.querySelector('#page')!)
