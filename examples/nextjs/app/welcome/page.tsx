// Welcomes the user once. The form posts to a server action, which any number of clicks may call.
import { welcome } from "./actions";

export default function Welcome() {
  return (
    <form
      action={async () => {
        "use server";
        await welcome();
      }}
    >
      <button>Begin</button>
    </form>
  );
}
