"""The page: its tabs, looks and script; nothing of it is loaded from elsewhere."""

import gradio as gr

from sr.web.application import Application
from sr.web.folders_tab import FoldersTab
from sr.web.images_tab import ImagesTab
from sr.web.named_endpoints import add_named_endpoints
from sr.web.training_tab import TrainingTab

FONTS = ["system-ui", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif"]
MONO = ["ui-monospace", "Menlo", "Consolas", "monospace"]

CSS = """
.sr-error {color: #8b0000; background: #fff0f0; border-left: 4px solid #b00020; padding: 8px;
  margin: 4px 0; white-space: pre-wrap; overflow-wrap: anywhere}
.sr-note {color: #5c4400; background: #fff8e1; padding: 8px; margin: 4px 0; overflow-wrap: anywhere}
.sr-status {font-weight: 600; padding: 4px 0}
progress {width: 100%; height: 14px; accent-color: #1d4ed8}
.sr-results {list-style: none; padding: 0}
.sr-results li {padding: 4px 0; overflow-wrap: anywhere}
.sr-results a, .sr-results a:visited {color: #1d4ed8; text-decoration: underline}
.sr-sample img {max-width: 100%; height: auto; border-radius: 4px}
.sr-log {overflow-x: auto; font-size: 13px; white-space: pre-wrap; overflow-wrap: anywhere}
.sr-scroll {overflow-x: auto}
.sr-scroll table {width: 100%; border-collapse: collapse; font-size: 14px}
.sr-scroll caption {text-align: left; font-weight: 600; padding: 4px 0}
.sr-scroll th, .sr-scroll td {text-align: left; padding: 4px 8px; border-bottom: 1px solid #999;
  vertical-align: top; white-space: nowrap}
.sr-scroll td:first-child, .sr-scroll td:last-child {white-space: normal; min-width: 9em;
  overflow-wrap: anywhere}
.sr-scroll td:last-child {min-width: 18em}
button[role=tab][aria-selected=true] {color: #1d4ed8 !important}
.dark button[role=tab][aria-selected=true] {color: #93c5fd !important}
.dark .sr-error {color: #ffd9d9; background: #4a1010}
.dark .sr-note {color: #ffecb3; background: #3b2f00}
.dark .sr-results a, .dark .sr-results a:visited {color: #93c5fd}
.or, .min_value, .max_value {color: #52525b !important}
.dark .or, .dark .min_value, .dark .max_value {color: #d4d4d8 !important}
:focus-visible {outline: 3px solid #1d4ed8 !important; outline-offset: 2px}
"""

# Files from the clipboard go where dropped ones do. Gradio's button to choose more files has the
# name of a text that it lacks, and holds the button that does it, which it passes no key to.
SCRIPT = """
<script>
new MutationObserver(() => {
  for (const button of document.querySelectorAll("button[aria-label='common.upload']")) {
    button.ariaLabel = button.title = "Choose other files";
    const inner = button.querySelector("button");
    inner.inert = true;
    button.addEventListener("click", (event) => {
      if (!inner.contains(event.target)) inner.click();
    });
  }
}).observe(document, {childList: true, subtree: true});
document.addEventListener("paste", (event) => {
  const files = Array.from((event.clipboardData || {}).files || []);
  const input = document.querySelector("#sr-files input[type=file]");
  if (!files.length || !input) return;
  const chosen = new DataTransfer();
  files.forEach((file) => chosen.items.add(file));
  input.files = chosen.files;
  input.dispatchEvent(new Event("change", {bubbles: true}));
});
</script>
"""


def make_theme() -> gr.themes.Base:
    """Return the looks, with fonts of the system only."""
    theme = gr.themes.Default(primary_hue="blue", font=FONTS, font_mono=MONO)
    return theme.set(  # white on blue and on red at 5 to 1 or more
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        button_cancel_background_fill="#b91c1c",
        button_cancel_background_fill_dark="#b91c1c",
        button_cancel_background_fill_hover="#991b1b",
        button_cancel_background_fill_hover_dark="#991b1b",
        block_label_text_color="*neutral_700",
        block_info_text_color="*neutral_600",
    )


def make_page(application: Application) -> gr.Blocks:
    """Make the page; `sr.web.server` serves it."""
    with gr.Blocks(
        title="Super-resolution", analytics_enabled=False, delete_cache=(3600, 86400)
    ) as page:
        gr.Markdown("# Super-resolution\nUpscale images and videos on this computer.")
        with gr.Tab("Images"):
            ImagesTab(application)
        with gr.Tab("Folders and videos"):
            folders_tab = FoldersTab(application)
        with gr.Tab("Training"):
            training_tab = TrainingTab(application)
        add_named_endpoints(application)
        folders_tab.connect_page(page)
        training_tab.connect_page(page)
    return page
