// A command in the menu that opens the page on which this machine is paired.
import { app } from "../../scripts/app.js";

const OPEN = "comfyui-credits.open";

app.registerExtension({
    name: "comfyui-credits",
    commands: [
        { id: OPEN, label: "Credits of this machine", icon: "pi pi-link", function: () => window.open("/comfyui-credits", "_blank") },
    ],
    menuCommands: [{ path: ["Help"], commands: [OPEN] }],
});
