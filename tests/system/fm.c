/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For the guest of blaster.py: plays a note by the FM synthesizer, through its driver. fm DEVICE
 * MILLISECONDS MODULATION (0 to 63, 63 being most). F-number 580 of octave 4: 440 Hz. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/soundcard.h>
#include <unistd.h>

#include <sound/asound_fm.h>

int main(int argc, char **argv)
{
    struct snd_dm_fm_voice modulator = {
        .harmonic = 2, .do_sustain = 1, .attack = 15, .release = 15};
    struct snd_dm_fm_voice carrier = {.op = 1,
                                      .harmonic = 1,
                                      .do_sustain = 1,
                                      .attack = 15,
                                      .release = 15,
                                      .volume = 63,
                                      .left = 1,
                                      .right = 1};
    struct snd_dm_fm_note note = {.octave = 4, .fnum = 580, .key_on = 1};
    int full = 100 | 100 << 8, mixer = open("/dev/mixer", O_RDWR);
    int fd = argc == 4 ? open(argv[1], O_RDWR) : -1;

    if (fd < 0) {
        perror("fm");
        return 1;
    }
    modulator.volume = (unsigned char)atoi(argv[3]);
    modulator.left = modulator.right = 1;
    if (ioctl(mixer, SOUND_MIXER_WRITE_VOLUME, &full) < 0 ||
        ioctl(mixer, SOUND_MIXER_WRITE_SYNTH, &full) < 0 ||
        ioctl(fd, SNDRV_DM_FM_IOCTL_RESET) < 0 ||
        ioctl(fd, SNDRV_DM_FM_IOCTL_SET_MODE, SNDRV_DM_FM_MODE_OPL3) < 0 ||
        ioctl(fd, SNDRV_DM_FM_IOCTL_SET_VOICE, &modulator) < 0 ||
        ioctl(fd, SNDRV_DM_FM_IOCTL_SET_VOICE, &carrier) < 0 ||
        ioctl(fd, SNDRV_DM_FM_IOCTL_PLAY_NOTE, &note) < 0) {
        perror("fm: ioctl");
        return 1;
    }
    usleep(atoi(argv[2]) * 1000u);
    note.key_on = 0;
    return ioctl(fd, SNDRV_DM_FM_IOCTL_PLAY_NOTE, &note) < 0;
}
