/* What segment.c needs of participant.c. Private to src/. */
#ifndef IPCKIT_SRC_PARTICIPANT_H
#define IPCKIT_SRC_PARTICIPANT_H

#include "ipckit/segment.h"

/* Take the view's locks again if their description was closed by others. Returns as ipk_segment_still_ours. */
int ipk_participant_renew(struct ipk_segment *segment);

#endif
